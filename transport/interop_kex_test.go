package transport_test

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// suite is a choice of algorithms.
type suite struct{ kex, hostKey, cipher, mac string }

func (s suite) config() transport.Config {
	return transport.Config{
		KeyExchanges: []string{s.kex}, HostKeyAlgorithms: []string{s.hostKey},
		Ciphers: []string{s.cipher}, MACs: []string{s.mac},
	}
}

// requireState checks that the suite was agreed on.
func (s suite) requireState(t *testing.T, state transport.State) {
	t.Helper()
	if !strings.HasSuffix(s.cipher, "-ctr") {
		s.mac = ""
	}
	require.Equal(t, s, suite{state.KeyExchange, state.HostKeyAlgorithm, state.ClientCipher, state.ClientMAC})
	require.Equal(t, s, suite{state.KeyExchange, state.HostKeyAlgorithm, state.ServerCipher, state.ServerMAC})
}

// suites combines names: every method of key exchange meets every host key algorithm,
// and each of these every cipher with every MAC. The hash of a method derives the keys,
// and the host key signs with the hash.
func suites(kexs, hostKeys, ciphers, macs []string) (all []suite) {
	var protections []suite
	for _, cipher := range ciphers {
		for _, mac := range macs {
			protections = append(protections, suite{cipher: cipher, mac: mac})
			if !strings.HasSuffix(cipher, "-ctr") {
				break
			}
		}
	}
	for i, kex := range kexs {
		for j := range max(len(hostKeys), len(protections)) {
			p := protections[j%len(protections)]
			all = append(all, suite{kex, hostKeys[(i+j)%len(hostKeys)], p.cipher, p.mac})
		}
	}
	return all
}

func TestAlgorithmsTogetherWithAnotherImplementation(t *testing.T) {
	supported := ssh.SupportedAlgorithms()
	both := func(ours, theirs []string) []string {
		return slices.DeleteFunc(slices.Clone(ours), func(name string) bool { return !slices.Contains(theirs, name) })
	}
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	keys := map[string]ssh.Signer{}
	for _, keyType := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA} {
		plain := sshtest.NewSigner(t, keyType)
		certified := sshtest.NewCertSigner(t, ca, plain, ssh.HostCert, "host")
		keys[keyType], keys[certified.PublicKey().Type()] = plain, certified
	}
	for name, keyType := range map[string]string{
		ssh.KeyAlgoRSASHA256: ssh.KeyAlgoRSA, ssh.CertAlgoRSASHA256v01: ssh.CertAlgoRSAv01,
		ssh.KeyAlgoRSASHA512: ssh.KeyAlgoRSA, ssh.CertAlgoRSASHA512v01: ssh.CertAlgoRSAv01,
	} {
		keys[name] = keys[keyType]
	}
	// x/crypto adds the older name of its own accord.
	theirs := append(slices.Clone(supported.KeyExchanges), "curve25519-sha256@libssh.org")
	kexs, hostKeys := both(transport.KeyExchanges, theirs), both(transport.HostKeyAlgorithms, supported.HostKeys)
	require.Len(t, kexs, 9)
	require.Len(t, hostKeys, 12)
	require.Equal(t, transport.Ciphers, both(transport.Ciphers, supported.Ciphers))
	require.Equal(t, transport.MACs, both(transport.MACs, supported.MACs))

	for _, s := range suites(kexs, hostKeys, transport.Ciphers, transport.MACs) {
		key := keys[s.hostKey]
		config := &ssh.ServerConfig{Config: ssh.Config{KeyExchanges: supported.KeyExchanges, Ciphers: supported.Ciphers, MACs: supported.MACs}}
		config.AddHostKey(key)
		tc := s.config()
		tc.HostKey = transport.FixedHostKey(key.PublicKey())
		c := connect(t, config, tc)
		s.requireState(t, c.State())
		echo(t, c, 100)
		require.NoError(t, c.Close())
	}
}

// offers returns a server's KEXINIT.
func offers(t *testing.T, server *sshtest.Server) *wire.KexInitMsg {
	t.Helper()
	c, err := server.DialContext(t.Context(), "tcp", server.Addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "SSH-2.0-curious\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(c)
	_, err = r.ReadString('\n')
	require.NoError(t, err)
	head := make([]byte, 5)
	_, err = io.ReadFull(r, head)
	require.NoError(t, err)
	packet := make([]byte, binary.BigEndian.Uint32(head)-1)
	_, err = io.ReadFull(r, packet)
	require.NoError(t, err)
	m := new(wire.KexInitMsg)
	require.NoError(t, ssh.Unmarshal(packet[:len(packet)-int(head[4])], m))
	return m
}

// Real daemons, with all algorithms that they share with us. They let nobody in by
// "none", and say so under the new keys.
func TestAlgorithmsTogetherWithDaemons(t *testing.T) {
	for name, test := range map[string]struct {
		server                        *sshtest.Server
		kexs, hostKeys, ciphers, macs int // at least
	}{
		"OpenSSH": {sshtest.OpenSSH(t, &sshtest.DaemonOptions{
			HostCA: sshtest.NewSigner(t, ssh.KeyAlgoED25519),
			Config: []string{"KexAlgorithms +diffie-hellman-group14-sha256,diffie-hellman-group16-sha512," +
				"diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256"}, // since 10.0 on request only
		}), 11, 12, 6, 4},
		// Its ciphers are ChaCha20 and two in counter mode, unless it was built for more.
		"Dropbear": {sshtest.Dropbear(t, nil), 6, 4, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := offers(t, test.server)
			both := func(ours, theirs []string, least int) []string {
				names := slices.DeleteFunc(slices.Clone(ours), func(name string) bool { return !slices.Contains(theirs, name) })
				require.GreaterOrEqual(t, len(names), least, "%q", theirs)
				return names
			}
			all := suites(both(transport.KeyExchanges, m.Kex, test.kexs), both(transport.HostKeyAlgorithms, m.HostKey, test.hostKeys),
				both(transport.Ciphers, m.CipherIn, test.ciphers), both(transport.MACs, m.MACIn, test.macs))
			for i, s := range all {
				if i%2 != 0 {
					continue // half of the pairs keep the test short, and have every name
				}
				nc, err := test.server.DialContext(t.Context(), "tcp", test.server.Addr)
				require.NoError(t, err)
				tc := s.config()
				tc.HostKey = new(recorder)
				c := transport.Client(nc, &tc)
				require.NoError(t, c.Handshake(t.Context()), "%v", s)
				s.requireState(t, c.State())
				require.NoError(t, c.RequestService("ssh-userauth"))
				require.NoError(t, c.WritePacket(ssh.Marshal(wire.UserauthRequestMsg{
					User: test.server.User, Service: "ssh-connection", Method: "none",
				})))
				p, err := c.ReadPacket()
				require.NoError(t, err, "%v", s)
				require.Equal(t, byte(51), p[0])
				require.NoError(t, c.Close())
			}
		})
	}
}

// The number of exchanges of TestManyExchangesWithOpenSSH, for those who want more.
const exchangesVariable = "NACRE_KEY_EXCHANGES"

// A key encapsulation that fails for rare keys or ciphertexts shows here as a host key
// signature that does not fit. Each re-exchange draws all keys anew.
func TestManyExchangesWithOpenSSH(t *testing.T) {
	n := 30
	if s := os.Getenv(exchangesVariable); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	const kex = "sntrup761x25519-sha512@openssh.com"
	server := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"KexAlgorithms " + kex}})
	c := transport.Client(dial(t, server), &transport.Config{HostKey: transport.FixedHostKey(server.HostKeys...)})
	defer c.Close()
	require.NoError(t, c.Handshake(t.Context()))
	loginByKey(t, c, server)
	for i := range n {
		require.NoError(t, c.Rekey())
		sent := make(chan error, 1) // during the exchange the write waits for the reader
		go func() {
			sent <- c.WritePacket(ssh.Marshal(&wire.GlobalRequestMsg{Name: "unknown@example.com", WantReply: true}))
		}()
		for {
			p, err := c.ReadPacket()
			require.NoError(t, err, "after %d exchanges", i)
			if p[0] != 80 { // SSH_MSG_GLOBAL_REQUEST of sshd
				require.Equal(t, []byte{82}, p)
				break
			}
		}
		require.NoError(t, <-sent)
	}
	state := c.State()
	require.Equal(t, kex, state.KeyExchange)
	require.Equal(t, n+1, state.Exchanges)
	require.True(t, state.PostQuantum())
}

// loginByKey logs in with the server's key for users, RFC 4252 section 7.
func loginByKey(t *testing.T, c *transport.Conn, server *sshtest.Server) {
	t.Helper()
	require.NoError(t, c.RequestService("ssh-userauth"))
	key := server.Signer.PublicKey()
	request := ssh.Marshal(struct {
		User, Service, Method string `sshtype:"50"`
		Signed                bool
		Algorithm             string
		Key                   []byte
	}{server.User, "ssh-connection", "publickey", true, key.Type(), key.Marshal()})
	signature, err := server.Signer.Sign(rand.Reader, append(ssh.Marshal(struct{ Session []byte }{c.SessionID()}), request...))
	require.NoError(t, err)
	require.NoError(t, c.WritePacket(append(request, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...)))
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, p)
}

// x/crypto's server lacks some of OpenSSH's methods.
func TestKeyExchangesWithOpenSSH(t *testing.T) {
	names := []string{"diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512"}
	server := sshtest.OpenSSH(t, &sshtest.DaemonOptions{ // since 10.0 on request only
		Config: []string{"KexAlgorithms +" + strings.Join(names, ",")},
	})
	names = append(names, "sntrup761x25519-sha512")
	for _, kex := range names {
		t.Run(kex, func(t *testing.T) {
			nc, err := server.DialContext(t.Context(), "tcp", server.Addr)
			require.NoError(t, err)
			c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(server.HostKeys...), KeyExchanges: []string{kex}})
			defer c.Close()
			require.NoError(t, c.Handshake(t.Context()))
			require.Equal(t, kex, c.State().KeyExchange)
		})
	}
}
