package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// waits are all calls of this package that can wait. See waittest.
var waits = waittest.Calls{
	"Conn.Handshake, for the version":      shakes(nil, drain),
	"Conn.Handshake, for the key exchange": shakes(nil, func(p *sshtest.Peer) { p.SendRaw([]byte("SSH-2.0-slow\r\n")); p.Drain() }),
	"Conn.Handshake, for the verifier":     shakes(stuckVerifier, honest),
	"Conn.Handshake, for another one": func(t *testing.T) waittest.Blocked {
		b := shakes(nil, drain)(t)
		go func() { _ = b.Do(context.Background()) }()
		synctest.Wait()
		return b
	},
	"Conn.Handshake, for a peer that does not read": func(t *testing.T) waittest.Blocked {
		nc, server := net.Pipe() // which holds nothing
		t.Cleanup(func() { server.Close() })
		return handshake(t, nc, nil, func() { server.Close() }, io.ErrClosedPipe)
	},

	"Conn.ReadPacket": reads(func(c *transport.Conn) error { _, err := c.ReadPacket(); return err }),
	"Conn.ReadPacket, for its turn": reads(func(c *transport.Conn) error {
		go func() { _, _ = c.ReadPacket() }()
		_, err := c.ReadPacket()
		return err
	}),
	"Conn.ReadPacketNotify": reads(func(c *transport.Conn) error { _, err := c.ReadPacketNotify(func() {}); return err }),
	"Conn.AwaitService": reads(func(c *transport.Conn) error {
		if err := c.RequestService("x"); err != nil {
			return err
		}
		return c.AwaitService()
	}),

	"Conn.WritePacket":  writes(func(c *transport.Conn) error { return c.WritePacket(make80(30 << 10)) }),
	"Conn.WritePackets": writes(func(c *transport.Conn) error { return c.WritePackets(make80(30<<10), make80(30<<10)) }),
	"Conn.Unimplemented": func(t *testing.T) waittest.Blocked {
		b := writes(func(c *transport.Conn) (err error) {
			for i := 0; i < 1e5 && err == nil; i++ {
				err = c.Unimplemented()
			}
			return errors.Join(err, errEnough)
		})(t)
		// What is owed to a server that takes nothing is dropped: it may be read.
		b.Ends[1].Want, b.Ends[2].Want = []error{errEnough}, []error{errEnough}
		return b
	},

	"Conn.WritePacket, for its turn":    queues(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.WritePackets, for its turn":   queues(func(c *transport.Conn) error { return c.WritePackets([]byte{80}) }),
	"Conn.RequestService, for its turn": queues(func(c *transport.Conn) error { return c.RequestService("x") }),
	"Conn.Rekey, for its turn":          queues((*transport.Conn).Rekey),

	"Conn.WritePacket, for a key exchange":    exchanges(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.WritePackets, for a key exchange":   exchanges(func(c *transport.Conn) error { return c.WritePackets([]byte{80}, []byte{80}) }),
	"Conn.RequestService, for a key exchange": exchanges(func(c *transport.Conn) error { return c.RequestService("x") }),

	"Conn.WritePacket, for the handshake":    early(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.WritePackets, for the handshake":   early(func(c *transport.Conn) error { return c.WritePackets([]byte{80}) }),
	"Conn.RequestService, for the handshake": early(func(c *transport.Conn) error { return c.RequestService("x") }),
}

var errEnough = errors.New("enough")

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// stuckVerifier takes as long as it may.
var stuckVerifier = transport.HostKeyFunc(func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
	<-ctx.Done()
	return ctx.Err()
})

// handshake is a handshake over nc. Its failures are the first ones, so that
// only Close makes it net.ErrClosed.
func handshake(t *testing.T, nc net.Conn, v transport.HostKeyVerifier, lose func(), lost error) waittest.Blocked {
	tc := &transport.Config{HostKey: v}
	if v == nil {
		tc.HostKey = transport.FixedHostKey()
	}
	c := transport.Client(nc, tc)
	t.Cleanup(func() { c.Close() })
	b := waittest.Blocked{
		Context: true,
		Do:      c.Handshake,
		Ends: []waittest.End{
			{Name: "Close", By: func() { c.Close() }, Want: []error{net.ErrClosed}, Within: 2 * lastWord},
		},
	}
	if v == nil { // a verifier has its own time, and does not see the rest
		b.Ends = append(b.Ends,
			waittest.End{Name: "HandshakeTimeout", By: func() {}, Want: []error{context.DeadlineExceeded}, After: 2 * time.Minute},
			waittest.End{Name: "loss of the connection", By: lose, Want: []error{lost}})
	}
	return b
}

// lastWord is what Close gives a peer to take the farewell.
const lastWord = 50 * time.Millisecond

// shakes has a handshake wait for a server that runs a script.
func shakes(v transport.HostKeyVerifier, run script) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		nc, server := sshtest.Pipe()
		go scripted(t, run).ServeConn(server)
		return handshake(t, nc, v, func() { server.Close() }, io.ErrUnexpectedEOF)
	}
}

// with returns what ends every call on a connection whose server runs a script
// after the handshake, and the connection.
func with(t *testing.T, lost error, run script) (*transport.Conn, []waittest.End) {
	nc, server := sshtest.Pipe()
	go scripted(t, func(p *sshtest.Peer) {
		p.Handshake()
		run(p)
	}).ServeConn(server)
	c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return c, []waittest.End{
		{Name: "Close", By: func() { c.Close() }, Want: []error{net.ErrClosed}, Within: lastWord},
		{Name: "Close of the connection below", By: func() { nc.Close() }, Want: []error{net.ErrClosed}},
		{Name: "loss of the connection", By: func() { server.Close() }, Want: []error{net.ErrClosed, lost}},
	}
}

// reads has do wait for a server that says nothing.
func reads(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := with(t, io.ErrUnexpectedEOF, drain)
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// stalled returns a connection to a server that does not read.
func stalled(t *testing.T) (*transport.Conn, []waittest.End) {
	stop := make(chan struct{})
	c, ends := with(t, net.ErrClosed, func(*sshtest.Peer) { <-stop })
	t.Cleanup(func() { close(stop) })
	return c, ends
}

// writes repeats do until it waits.
func writes(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := stalled(t)
		return waittest.Blocked{Ends: ends, Do: func(context.Context) (err error) {
			for err == nil {
				err = do(c)
			}
			return err
		}}
	}
}

// queues has do wait behind a write that waits.
func queues(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := stalled(t)
		go func() { _ = c.WritePackets(make80(30<<10), make80(30<<10), make80(30<<10)) }()
		synctest.Wait()
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// exchanges has do wait for a key exchange that the server does not go on with.
func exchanges(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := with(t, io.ErrUnexpectedEOF, drain)
		require.NoError(t, c.Rekey())
		go func() { _, _ = c.ReadPacket() }() // that is who notices the end
		ends = append(ends, waittest.End{
			Name: "HandshakeTimeout", By: func() {}, Want: []error{net.ErrClosed, context.DeadlineExceeded}, After: 2 * time.Minute,
		})
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// early has do wait for a handshake that does not begin.
func early(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		nc, server := sshtest.Pipe()
		t.Cleanup(func() { server.Close() })
		c := transport.Client(nc, new(transport.Config))
		return waittest.Blocked{
			Ends: []waittest.End{{Name: "Close", By: func() { c.Close() }, Want: []error{net.ErrClosed}}},
			Do:   func(context.Context) error { return do(c) },
		}
	}
}

// resetting is a connection whose reset a write meets: all that a read gets to
// see is an end.
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
		require.Empty(t, read) // what the server has sent before can still be read
		server.Close()
		for _, err := range []error{<-read, c.WritePacket([]byte{80}), c.Rekey(), c.AwaitService()} {
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.ErrorIs(t, err, net.ErrClosed)
		}
	})
}

// A timer that goes on would hold what it is for, and so would a context that
// lives longer.
func TestNothingHoldsAConnectionThatWasClosed(t *testing.T) {
	s := scripted(t, honest)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := func() weak.Pointer[transport.Conn] {
		c := transport.Client(dial(t, s), &transport.Config{HostKey: transport.FixedHostKey(s.HostKey)})
		require.NoError(t, c.Handshake(ctx))
		require.NoError(t, c.Rekey()) // which has a clock
		require.NoError(t, c.Close())
		return weak.Make(c)
	}()
	require.True(t, waittest.Collected(c))
}

func TestHandshakeWhoseVerifierPanicsIsNoSuccess(t *testing.T) {
	c := transport.Client(dial(t, scripted(t, honest)), &transport.Config{
		HostKey: transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error { panic("no") }),
	})
	defer c.Close()
	require.Panics(t, func() { _ = c.Handshake(t.Context()) })
	require.Error(t, c.Handshake(t.Context()))
}
