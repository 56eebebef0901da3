package transport_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// A script plays a server, or says before the handshake in what that departs
// from an honest one. Nil is honest.
type script func(p *sshtest.Peer)

// hostKey is the key of every scripted server that has no other.
var hostKey = sync.OnceValue(func() ssh.Signer {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		panic(err)
	}
	return signer
})

// scripted starts a server that follows the script.
func scripted(tb testing.TB, run script) *sshtest.Server {
	tb.Helper()
	return sshtest.NewServer(tb, &sshtest.Options{
		Version: "SSH-2.0-script", HostKeys: []ssh.Signer{hostKey()}, InMemory: true, Script: run,
	})
}

// dial connects to a server.
func dial(tb testing.TB, s *sshtest.Server) net.Conn {
	tb.Helper()
	c, err := s.DialContext(tb.Context(), "tcp", s.Addr)
	require.NoError(tb, err)
	return c
}

// client returns a client of a scripted server. Its verifier is a fixed key
// unless the config has one.
func client(t *testing.T, tc transport.Config, run script) *transport.Conn {
	t.Helper()
	if tc.HostKey == nil {
		tc.HostKey = transport.FixedHostKey(hostKey().PublicKey())
	}
	c := transport.Client(dial(t, scripted(t, run)), &tc)
	t.Cleanup(func() { c.Close() })
	return c
}

// connected returns a client after its handshake. The script goes on behind it.
func connected(t *testing.T, tc transport.Config, lies, run script) *transport.Conn {
	t.Helper()
	c := client(t, tc, func(p *sshtest.Peer) {
		if lies != nil {
			lies(p)
		}
		p.Handshake()
		run(p)
	})
	require.NoError(t, c.Handshake(t.Context()))
	return c
}

// drain is a script that only listens.
func drain(p *sshtest.Peer) { p.Drain() }

// honest is one that does what it should.
func honest(p *sshtest.Peer) {
	p.Handshake()
	p.Drain()
}

// refused runs a handshake that must fail, checks that the connection has
// ended, and returns the error.
func refused(t *testing.T, tc transport.Config, lies script) error {
	t.Helper()
	c := client(t, tc, func(p *sshtest.Peer) {
		if lies != nil {
			lies(p)
		}
		honest(p)
	})
	err := c.Handshake(t.Context())
	requireEnded(t, c, err)
	return err
}

// requireEnded checks that the first error ended the connection for every call
// and is neither a good end nor lost.
func requireEnded(t *testing.T, c *transport.Conn, first error) {
	t.Helper()
	require.Error(t, first)
	require.NotErrorIs(t, first, io.EOF)
	_, read := c.ReadPacket()
	for _, err := range []error{read, c.WritePacket([]byte{80}), c.RequestService("x"), c.Rekey()} {
		require.ErrorIs(t, err, net.ErrClosed)
		require.NotErrorIs(t, err, io.EOF)
		var protocol *transport.ProtocolError
		if errors.As(first, &protocol) {
			require.ErrorIs(t, err, protocol)
		}
	}
	require.NoError(t, c.Close())
}

// kexInit is a KEXINIT that can be agreed on, for whatever place it is not
// meant for.
func kexInit(methods ...string) []byte {
	gcm, none := []string{"aes128-gcm@openssh.com"}, []string{"none"}
	return ssh.Marshal(&sshtest.KexInitMsg{
		Kex: methods, HostKey: []string{ssh.KeyAlgoED25519},
		CipherIn: gcm, CipherOut: gcm, CompressionIn: none, CompressionOut: none,
	})
}

// each makes packets what Peer.Send takes.
func each(packets [][]byte) (messages []any) {
	for _, p := range packets {
		messages = append(messages, p)
	}
	return messages
}
