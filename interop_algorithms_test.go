package nacre_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// kinds are the negotiated lists, each with its field of transport.Config and with
// the outcome in a transport.State.
var kinds = []struct {
	kind   string // as in a transport.NegotiationError
	choose func(c *transport.Config, name string)
	chosen func(s transport.State) []string
}{
	{
		"key exchange",
		func(c *transport.Config, name string) { c.KeyExchanges = []string{name} },
		func(s transport.State) []string { return []string{s.KeyExchange} },
	},
	{
		"host key",
		func(c *transport.Config, name string) { c.HostKeyAlgorithms = []string{name} },
		func(s transport.State) []string { return []string{s.HostKeyAlgorithm} },
	},
	{
		"cipher client to server",
		func(c *transport.Config, name string) { c.Ciphers = []string{name} },
		func(s transport.State) []string { return []string{s.ClientCipher, s.ServerCipher} },
	},
	{
		"MAC client to server",
		func(c *transport.Config, name string) { c.Ciphers, c.MACs = []string{"aes128-ctr"}, []string{name} },
		func(s transport.State) []string { return []string{s.ClientMAC, s.ServerMAC} },
	},
}

// common lists the algorithms that each server has in common with us, at least.
var common = map[string]map[string]string{
	"embedded": {
		"key exchange": "mlkem768x25519-sha256 curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 " +
			"ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group14-sha256 diffie-hellman-group16-sha512 " +
			"diffie-hellman-group-exchange-sha256",
		"host key":                plainHostKeys + " rsa-sha2-512 ecdsa-sha2-nistp384 " + hostCertificates,
		"cipher client to server": "aes128-gcm@openssh.com aes256-gcm@openssh.com aes192-ctr " + anyCipher,
		"MAC client to server":    allMACs,
	},
	"openssh": {
		"key exchange": "curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 " +
			"ecdh-sha2-nistp521 diffie-hellman-group14-sha256 diffie-hellman-group16-sha512 " +
			"diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha256",
		"host key":                plainHostKeys + " rsa-sha2-512 ecdsa-sha2-nistp384 " + hostCertificates,
		"cipher client to server": "aes128-gcm@openssh.com aes256-gcm@openssh.com aes192-ctr " + anyCipher,
		"MAC client to server":    allMACs,
	},
	"dropbear": {
		"key exchange":            "curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 diffie-hellman-group14-sha256",
		"host key":                plainHostKeys,
		"cipher client to server": anyCipher,
		"MAC client to server":    "hmac-sha2-256",
	},
}

const (
	plainHostKeys    = "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp521 rsa-sha2-256"
	hostCertificates = "ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256-cert-v01@openssh.com " +
		"ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521-cert-v01@openssh.com " +
		"rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512-cert-v01@openssh.com"
	anyCipher = "chacha20-poly1305@openssh.com aes128-ctr aes256-ctr"
	allMACs   = "hmac-sha2-256 hmac-sha2-512 hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com"
)

// everything starts each server with all of its algorithms.
var everything = map[string]func(t *testing.T) *sshtest.Server{
	"embedded": func(t *testing.T) *sshtest.Server {
		all := ssh.SupportedAlgorithms()
		o := &sshtest.Options{
			HostCA: sshtest.NewSigner(t, ssh.KeyAlgoED25519),
			Config: ssh.Config{KeyExchanges: all.KeyExchanges, Ciphers: all.Ciphers, MACs: all.MACs},
		}
		for _, name := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA} {
			o.HostKeys = append(o.HostKeys, sshtest.NewSigner(t, name))
		}
		return sshtest.NewServer(t, o)
	},
	"openssh": func(t *testing.T) *sshtest.Server {
		return sshtest.OpenSSH(t, &sshtest.DaemonOptions{
			HostCA: sshtest.NewSigner(t, ssh.KeyAlgoECDSA256),
			// Since OpenSSH 10.0 these are not in sshd's default.
			Config: []string{"KexAlgorithms +diffie-hellman-group14-sha256,diffie-hellman-group16-sha512," +
				"diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256"},
		})
	},
	"dropbear": func(t *testing.T) *sshtest.Server { return sshtest.Dropbear(t, nil) },
}

// choice is an algorithm of a kind.
type choice struct{ kind, index int }

// Every algorithm in common with a server carries a login, a command, a change of
// keys, and another command. Each round takes an algorithm of every kind.
func TestEveryAlgorithmWithEveryServer(t *testing.T) {
	ours := offered(t)
	for name, start := range everything {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			have := make([][]string, len(kinds))
			for i, k := range kinds {
				for _, algorithm := range ours[k.kind] {
					if negotiates(t, s, func(c *transport.Config) { k.choose(c, algorithm) }) {
						have[i] = append(have[i], algorithm)
					}
				}
				require.Subset(t, have[i], strings.Fields(common[name][k.kind]), k.kind)
			}
			rounds := max(len(have[0]), len(have[1]), len(have[2])+len(have[3]))
			for n := range rounds {
				choices := []choice{{0, n % len(have[0])}, {1, n % len(have[1])}, {2, n}}
				if n >= len(have[2]) { // the MACs have their turn, with a cipher that needs a MAC
					choices[2] = choice{3, (n - len(have[2])) % len(have[3])}
				}
				carries(t, s, have, choices)
			}
		})
	}
}

// negotiates reports whether the server has an algorithm of each list left by change.
func negotiates(t *testing.T, s *sshtest.Server, change func(*transport.Config)) bool {
	t.Helper()
	c := config(s)
	c.HostKey = knownhosts.Parse("hosts", s.KnownHosts())
	change(&c.Transport)
	client, err := nacre.Dial(t.Context(), s.Target, c)
	var none *transport.NegotiationError
	if errors.As(err, &none) {
		return false
	}
	require.NoError(t, err)
	require.NoError(t, client.Close())
	return true
}

func carries(t *testing.T, s *sshtest.Server, have [][]string, choices []choice) {
	t.Helper()
	client := dial(t, s, func(c *nacre.Config) {
		c.HostKey = knownhosts.Parse("hosts", s.KnownHosts())
		for _, pick := range choices {
			kinds[pick.kind].choose(&c.Transport, have[pick.kind][pick.index])
		}
	})
	for exchanges := 1; exchanges <= 2; exchanges++ {
		out, err := client.Command(t.Context(), "echo hello").Output()
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))
		state := client.Transport().State()
		require.Equal(t, exchanges, state.Exchanges)
		for _, pick := range choices {
			for _, chosen := range kinds[pick.kind].chosen(state) {
				require.Equal(t, have[pick.kind][pick.index], chosen)
			}
		}
		require.NoError(t, client.Transport().Rekey())
	}
	require.NoError(t, client.Close())
}

// offered returns the names in our KEXINIT, by kind. A server without algorithms
// makes the negotiation fail: the error has the names of a kind, and on the next
// try the server has these.
func offered(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for range kinds {
		_, err := nacre.Dial(t.Context(), "u@h", &nacre.Config{
			HostKey:   transport.FixedHostKey(),
			Transport: transport.Config{Ciphers: ciphersBefore(names)},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := sshtest.Pipe()
				_, err := theirs.Write(append([]byte("SSH-2.0-poor\r\n"), kexInit(names)...))
				return ours, err
			},
		})
		var none *transport.NegotiationError
		require.ErrorAs(t, err, &none)
		names[none.Kind] = slices.DeleteFunc(none.Ours, func(name string) bool {
			return name == "ext-info-c" || name == "kex-strict-c-v00@openssh.com"
		})
	}
	for _, k := range kinds {
		require.NotEmpty(t, names[k.kind], k.kind)
	}
	return names
}

// ciphersBefore returns the ciphers to offer: our own while their names are not
// known, and then a cipher that needs a MAC.
func ciphersBefore(names map[string][]string) []string {
	if len(names["cipher client to server"]) > 0 {
		return []string{"aes128-ctr"}
	}
	return nil
}

// kexInit returns the first packet of a server with these algorithms.
func kexInit(names map[string][]string) []byte {
	payload := ssh.Marshal(wire.KexInitMsg{
		Kex: names["key exchange"], HostKey: names["host key"],
		CipherIn: names["cipher client to server"], CipherOut: names["cipher client to server"],
		CompressionIn: []string{"none"}, CompressionOut: []string{"none"},
	})
	padding := 16 - (5+len(payload))%8
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(append(packet, byte(padding)), payload...)
	return append(packet, make([]byte, padding)...)
}
