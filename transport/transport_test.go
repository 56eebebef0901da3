package transport_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// stuck is a connection that never gets anywhere. Unlike a socket's, its Close does not
// unblock calls with net.ErrClosed.
func stuck(t *testing.T) net.Conn {
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	return near
}

func TestCloseUnblocks(t *testing.T) {
	config := transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), HandshakeTimeout: -1}
	silent := func(t *testing.T) *transport.Conn {
		return client(t, config, drain)
	}
	idle := func(t *testing.T) *transport.Conn {
		return connected(t, config, nil, drain)
	}
	// deaf does not read after the handshake.
	deaf := func(t *testing.T) *transport.Conn {
		hold := make(chan struct{})
		c := connected(t, config, nil, func(p *wire.Peer) { <-hold })
		t.Cleanup(func() { close(hold) })
		return c
	}
	full := func(c *transport.Conn) error {
		packet := make([]byte, 30000)
		packet[0] = 80
		for {
			if err := c.WritePacket(packet); err != nil {
				return err
			}
		}
	}
	cases := map[string]struct {
		conn func(*testing.T) *transport.Conn
		call func(*transport.Conn) error
	}{
		"Handshake that writes": {
			func(t *testing.T) *transport.Conn { return transport.Client(stuck(t), &config) },
			func(c *transport.Conn) error { return c.Handshake(context.Background()) },
		},
		"Handshake that reads": {silent, func(c *transport.Conn) error { return c.Handshake(context.Background()) }},
		"Handshake that reads from a connection with other errors": {
			func(t *testing.T) *transport.Conn {
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return transport.Client(near, &config)
			},
			func(c *transport.Conn) error { return c.Handshake(context.Background()) },
		},
		"WritePacket before the handshake":    {silent, func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }},
		"RequestService before the handshake": {silent, func(c *transport.Conn) error { return c.RequestService("x") }},
		"ReadPacket":                          {idle, func(c *transport.Conn) error { _, err := c.ReadPacket(); return err }},
		"WritePacket to a full connection":    {deaf, full},
		"WritePacket during an exchange that nobody ends": {idle, func(c *transport.Conn) error {
			if err := c.Rekey(); err != nil {
				return err
			}
			return c.WritePacket([]byte{80})
		}},
		"RequestService during an exchange": {idle, func(c *transport.Conn) error {
			if err := c.Rekey(); err != nil {
				return err
			}
			return c.RequestService("x")
		}},
		"one WritePacket behind another": {deaf, func(c *transport.Conn) error {
			var group sync.WaitGroup
			defer group.Wait()
			group.Go(func() { _ = full(c) })
			return full(c)
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := test.conn(t)
				done := make(chan error, 1)
				go func() { done <- test.call(c) }()
				synctest.Wait()
				select {
				case err := <-done:
					require.Fail(t, "it does not block", "%v", err)
				default:
				}
				start := time.Now()
				require.NoError(t, c.Close())
				err := <-done
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorContains(t, err, "transport: ")
				require.Less(t, time.Since(start), time.Second)
				requireEnded(t, c, err)
			})
		})
	}
}

func TestBeforeTheHandshake(t *testing.T) {
	c := client(t, transport.Config{}, drain)
	_, err := c.ReadPacket()
	require.ErrorContains(t, err, "transport: no handshake")
	require.Nil(t, c.SessionID())
	require.Zero(t, c.State())
	_, ok := c.Extension("server-sig-algs")
	require.False(t, ok)
	require.NoError(t, c.Close())
	requireEnded(t, c, net.ErrClosed)
	require.ErrorIs(t, c.Handshake(t.Context()), net.ErrClosed)
}

func TestAddressesAreThoseOfTheConnectionBelow(t *testing.T) {
	near, far := sshtest.Pipe()
	c := transport.Client(near, nil)
	require.Equal(t, near.RemoteAddr(), c.RemoteAddr())
	require.Equal(t, far.RemoteAddr(), c.LocalAddr())
	require.NoError(t, c.Close())
}

// resetting is a connection whose reset a write meets, while a read finds only an end.
type resetting struct {
	net.Conn
	reset atomic.Bool
}

func (r *resetting) Write(p []byte) (int, error) {
	if r.reset.Load() {
		return 0, syscall.ECONNRESET
	}
	return r.Conn.Write(p)
}

func TestResetThatAWriteMeetsIsTheCauseForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc, server := sshtest.Pipe()
		go scripted(t, honest).ServeConn(server)
		below := &resetting{Conn: nc}
		c := transport.Client(below, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		require.NoError(t, c.Handshake(t.Context()))
		read := make(chan error, 1)
		go func() {
			_, err := c.ReadPacket()
			read <- err
		}()
		below.reset.Store(true)
		require.ErrorIs(t, c.WritePacket([]byte{80}), syscall.ECONNRESET)
		synctest.Wait()
		require.Empty(t, read) // the server's earlier packets can still be read
		server.Close()
		for _, err := range []error{<-read, c.WritePacket([]byte{80}), c.Rekey(), c.WaitService()} {
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.ErrorIs(t, err, net.ErrClosed)
		}
	})
}

// A timer that goes on would hold the connection, and so would a context that lives
// longer.
func TestNothingHoldsAConnectionThatWasClosed(t *testing.T) {
	s := scripted(t, honest)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := func() weak.Pointer[transport.Conn] {
		c := transport.Client(dial(t, s), &transport.Config{HostKey: transport.FixedHostKey(s.HostKey)})
		require.NoError(t, c.Handshake(ctx))
		require.NoError(t, c.Rekey()) // starts a clock
		require.NoError(t, c.Close())
		return weak.Make(c)
	}()
	require.True(t, waittest.Collected(c))
}
