package transport_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// K6: no common algorithm, in each list.
func TestNegotiationError(t *testing.T) {
	const theirs = "\x1b[31mnone-of-yours"
	for kind, list := range map[string]func(m *wire.KexInitMsg) *[]string{
		"key exchange":                 func(m *wire.KexInitMsg) *[]string { return &m.Kex },
		"host key":                     func(m *wire.KexInitMsg) *[]string { return &m.HostKey },
		"cipher client to server":      func(m *wire.KexInitMsg) *[]string { return &m.CipherIn },
		"cipher server to client":      func(m *wire.KexInitMsg) *[]string { return &m.CipherOut },
		"MAC client to server":         func(m *wire.KexInitMsg) *[]string { return &m.MACIn },
		"MAC server to client":         func(m *wire.KexInitMsg) *[]string { return &m.MACOut },
		"compression client to server": func(m *wire.KexInitMsg) *[]string { return &m.CompressionIn },
		"compression server to client": func(m *wire.KexInitMsg) *[]string { return &m.CompressionOut },
	} {
		for _, names := range [][]string{{theirs}, nil, make([]string, 10000), {"ext-info-c", "kex-strict-c-v00@openssh.com"}} {
			t.Run(kind, func(t *testing.T) {
				err := refused(t, transport.Config{}, inits(func(m *wire.KexInitMsg) {
					m.CipherIn, m.CipherOut = []string{"aes128-ctr"}, []string{"aes128-ctr"} // these need MACs
					m.MACIn, m.MACOut = []string{"hmac-sha2-256"}, []string{"hmac-sha2-256"}
					*list(m) = names
				}))
				if len(names) == 10000 { // one comma after the other
					require.ErrorAs(t, err, new(*transport.ProtocolError))
					return
				}
				var negotiation *transport.NegotiationError
				require.ErrorAs(t, err, &negotiation)
				require.Equal(t, kind, negotiation.Kind)
				require.NotEmpty(t, negotiation.Ours)
				require.Len(t, negotiation.Theirs, len(names))
				require.NotContains(t, err.Error(), "\x1b")
				require.Less(t, len(err.Error()), 2000)
			})
		}
	}
}

func TestNameListsAreBounded(t *testing.T) {
	for name, list := range map[string]func(m *wire.KexInitMsg) *[]string{
		"first": func(m *wire.KexInitMsg) *[]string { return &m.Kex },
		"last":  func(m *wire.KexInitMsg) *[]string { return &m.LanguageOut },
	} {
		t.Run(name, func(t *testing.T) {
			filled := func(n int) script {
				return inits(func(m *wire.KexInitMsg) {
					*list(m) = append(*list(m), slices.Repeat([]string{"x"}, n-len(*list(m)))...)
				})
			}
			connected(t, transport.Config{}, filled(256), drain)
			err := refused(t, transport.Config{}, filled(257))
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			require.ErrorContains(t, err, "KEXINIT with a list of 257 names, more than 256")
		})
	}
}

// K6: languages need no agreement.
func TestLanguagesNeedNoAgreement(t *testing.T) {
	connected(t, transport.Config{}, inits(func(m *wire.KexInitMsg) {
		m.LanguageIn, m.LanguageOut = []string{"tlh"}, []string{"tlh"}
	}), drain)
}

// offered returns our KEXINIT.
func offered(t *testing.T, tc transport.Config) *wire.KexInitMsg {
	t.Helper()
	if tc.HostKey == nil {
		tc.HostKey = &recorder{}
	}
	got := make(chan []byte, 1)
	c := client(t, tc, func(p *wire.Peer) {
		p.ReceiveVersion()
		got <- p.Receive(20)
	})
	require.Error(t, c.Handshake(t.Context()))
	m := new(wire.KexInitMsg)
	require.NoError(t, ssh.Unmarshal(<-got, m))
	return m
}

func TestPreferredHostKeysAreOfferedFirst(t *testing.T) {
	p := &preferrer{recorder{prefer: make([]string, 0, 100)}}
	p.prefer = append(p.prefer, "rsa-sha2-256", "ssh-rsa", "ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256", "unknown")
	m := offered(t, transport.Config{HostKey: p})
	plain := offered(t, transport.Config{})
	require.Equal(t, []string{"rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"}, m.HostKey[:3])
	require.ElementsMatch(t, plain.HostKey, m.HostKey)
	require.Empty(t, p.prefer[:6][5], "the verifier's slice was written to")

	m = offered(t, transport.Config{HostKey: p, HostKeyAlgorithms: []string{"ssh-ed25519", "rsa-sha2-512"}})
	require.Equal(t, []string{"ssh-ed25519", "rsa-sha2-512"}, m.HostKey)

	rsaKey, certified := sshtest.NewSigner(t, ssh.KeyAlgoRSA), sshtest.NewCertSigner(t, hostKey(), hostKey(), ssh.HostCert, "x")
	m = offered(t, transport.Config{HostKey: transport.FixedHostKey(rsaKey.PublicKey(), certified.PublicKey())})
	require.Equal(t, []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"}, m.HostKey[:4])
}
