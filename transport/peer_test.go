package transport_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// A script plays a server, or changes an honest server before the handshake. A nil
// script is honest.
type script func(p *wire.Peer)

// hostKey is the key of every scripted server without a key of its own.
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

// client returns a client of a scripted server. The verifier is a fixed key unless the
// config has a verifier.
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
	c := client(t, tc, func(p *wire.Peer) {
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
func drain(p *wire.Peer) { p.Drain() }

// honest is a script without a lie.
func honest(p *wire.Peer) {
	p.Handshake()
	p.Drain()
}

// refused runs a handshake that must fail, checks that the connection has
// ended, and returns the error.
func refused(t *testing.T, tc transport.Config, lies script) error {
	t.Helper()
	c := client(t, tc, func(p *wire.Peer) {
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

// kexInit is a KEXINIT that can be agreed on, for places where no KEXINIT belongs.
func kexInit(methods ...string) []byte {
	gcm, none := []string{"aes128-gcm@openssh.com"}, []string{"none"}
	return ssh.Marshal(&wire.KexInitMsg{
		Kex: methods, HostKey: []string{ssh.KeyAlgoED25519},
		CipherIn: gcm, CipherOut: gcm, CompressionIn: none, CompressionOut: none,
	})
}

// each makes packets the arguments of Peer.Send.
func each(packets [][]byte) (messages []any) {
	for _, p := range packets {
		messages = append(messages, p)
	}
	return messages
}

// writeAll sends packets in one batch.
func writeAll(c *transport.Conn, packets ...[]byte) error {
	return c.Batch(func() error {
		for _, p := range packets {
			if err := c.WritePacket(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// replyTo runs a handshake by a method, with an answer of the test's, and returns the
// error.
func replyTo(t *testing.T, kex string, answer func(x []byte) []byte) error {
	t.Helper()
	err := refused(t, transport.Config{KeyExchanges: []string{kex}}, answers(kex, answer))
	require.ErrorAs(t, err, new(*transport.ProtocolError))
	return err
}

// answers plays a key exchange by that method, up to the answer to the client's first
// message.
func answers(kex string, answer func(x []byte) []byte) script {
	return func(p *wire.Peer) {
		begin(p, kex)
		p.Send(answer(p.Receive()))
		p.Drain()
	}
}

// begin plays a handshake up to both KEXINITs, with that method agreed on.
func begin(p *wire.Peer, kex string) {
	p.KexInit = func(m *wire.KexInitMsg) { m.Kex[0] = kex }
	p.SendVersion()
	p.ReceiveVersion()
	p.SendKexInit()
	p.ReceiveKexInit()
}

// inits is a server with another KEXINIT.
func inits(change func(m *wire.KexInitMsg)) script {
	return func(p *wire.Peer) { p.KexInit = change }
}

// after gives the client packets after the handshake, and returns the messages for the
// layers above and the error, if there is an error. A last message 127 ends a
// conversation without an error.
func after(t *testing.T, begin func(c *transport.Conn), packets ...[]byte) (c *transport.Conn, got [][]byte, err error) {
	t.Helper()
	c = connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		if begin != nil {
			p.Receive()
		}
		p.Send(each(packets)...)
		p.Send([]byte{127})
		p.Drain()
	})
	if begin != nil {
		begin(c)
	}
	for {
		p, err := c.ReadPacket()
		if err != nil {
			requireEnded(t, c, err)
			return c, got, err
		}
		if p[0] == 127 {
			return c, got, nil
		}
		got = append(got, bytes.Clone(p))
	}
}

// counted returns a client after its handshake, over a connection that counts.
func counted(t *testing.T, run func(p *wire.Peer)) (*transport.Conn, *counter) {
	t.Helper()
	below := &counter{Conn: dial(t, scripted(t, func(p *wire.Peer) {
		p.Handshake()
		run(p)
	}))}
	c := transport.Client(below, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return c, below
}

// counter counts the calls of Write and keeps the bytes.
type counter struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	fails  bool
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails {
		return 0, os.ErrPermission
	}
	c.writes = append(c.writes, append([]byte(nil), p...))
	return c.Conn.Write(p)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.writes)
}

func (c *counter) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = true
}

func make80(n int) []byte { return append([]byte{80}, make([]byte, n)...) }

// receives returns a script that hands over so many packets.
func receives(n int, got chan<- []byte) script {
	return func(p *wire.Peer) {
		for range n {
			got <- p.Receive()
		}
		p.Drain()
	}
}

// bytesConn is a connection with fixed bytes and an end.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }
