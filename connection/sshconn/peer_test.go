package sshconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/sshconn"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// stack logs in to a server with the layers of this module.
func stack(t *testing.T, s *sshtest.Server) (*connection.Conn, *transport.Conn) {
	nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
	require.NoError(t, err)
	tc := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(s.HostKeys...), Addr: s.Addr})
	require.NoError(t, tc.Handshake(t.Context()))
	require.NoError(t, userauth.Authenticate(t.Context(), tc, &userauth.Config{
		User:    s.User,
		Methods: []userauth.Method{userauth.PublicKeys(s.Signer)},
	}))
	c := connection.New(tc, nil)
	t.Cleanup(func() { c.Close() })
	return c, tc
}

// client is an ssh.Client on such a stack.
func client(t *testing.T, s *sshtest.Server) *ssh.Client {
	c, tc := stack(t, s)
	return ssh.NewClient(sshconn.New(c, tc, s.User))
}

// eachServer runs a test against x/crypto's server and against OpenSSH's.
func eachServer(t *testing.T, test func(t *testing.T, s *sshtest.Server)) {
	t.Run("x/crypto", func(t *testing.T) { test(t, sshtest.NewServer(t, nil)) })
	t.Run("OpenSSH", func(t *testing.T) { test(t, sshtest.OpenSSH(t, nil)) })
}

// bridge is what New returns, on a connection whose other end is the test's.
type bridge struct {
	ssh.Conn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
	native   *connection.Conn
	peer     *connection.Conn
	cut      func() // the loss of the connection
}

func newBridge(t *testing.T) *bridge {
	ab, ba, closed := make(chan []byte), make(chan []byte), make(chan struct{})
	cut := sync.OnceFunc(func() { close(closed) })
	b := &bridge{
		native: connection.New(packets{ba, ab, closed, cut}, nil),
		peer:   connection.New(packets{ab, ba, closed, cut}, nil),
		cut:    cut,
	}
	b.Conn, b.channels, b.requests = sshconn.New(b.native, nil, "gopher")
	t.Cleanup(func() {
		b.native.Close()
		b.peer.Close()
	})
	return b
}

// accept has the peer accept channels of a type, and returns them.
func (b *bridge) accept(typ string) <-chan *connection.Channel {
	accepted := make(chan *connection.Channel, 1)
	b.peer.HandleOpen(typ, func(_ context.Context, o *connection.Open) {
		if ch, err := o.Accept(grantAll); err == nil {
			accepted <- ch
		}
	})
	return accepted
}

// open opens a channel to the peer.
func (b *bridge) open(t *testing.T) (ssh.Channel, <-chan *ssh.Request, *connection.Channel) {
	accepted := b.accept("session")
	ch, requests, err := b.OpenChannel("session", nil)
	require.NoError(t, err)
	return ch, requests, <-accepted
}

func grantAll(_ context.Context, r *connection.Request) ([]byte, bool) { return r.Payload, true }

// packets is a connection.Transport in memory.
type packets struct {
	in, out chan []byte
	closed  chan struct{}
	end     func()
}

func (p packets) ReadPacket() ([]byte, error) {
	select {
	case packet := <-p.in:
		return packet, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p packets) WritePacket(packet []byte) error {
	select {
	case p.out <- bytes.Clone(packet):
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}

func (p packets) Close() error {
	p.end()
	return nil
}
