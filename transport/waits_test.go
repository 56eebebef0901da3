package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// waits are all calls of this package that can wait. See waittest.
var waits = waittest.Calls{
	"Conn.Handshake, for the version":      shakes(nil, drain),
	"Conn.Handshake, for the key exchange": shakes(nil, func(p *wire.Peer) { p.SendRaw([]byte("SSH-2.0-slow\r\n")); p.Drain() }),
	"Conn.Handshake, for the verifier":     shakes(stuckVerifier, honest),
	"Conn.Handshake, for another one": func(t *testing.T) waittest.Blocked {
		b := shakes(nil, drain)(t)
		go func() { _ = b.Do(context.Background()) }()
		synctest.Wait()
		return b
	},
	"Conn.Handshake, for a peer that does not read": func(t *testing.T) waittest.Blocked {
		nc, server := net.Pipe() // holds nothing
		t.Cleanup(func() { server.Close() })
		return handshake(t, nc, nil, func() { server.Close() }, io.ErrClosedPipe)
	},

	"Conn.ReadPacket": reads(func(c *transport.Conn) error { _, err := c.ReadPacket(); return err }),
	"Conn.ReadPacket, for its turn": reads(func(c *transport.Conn) error {
		go func() { _, _ = c.ReadPacket() }()
		_, err := c.ReadPacket()
		return err
	}),
	"Conn.WaitService": reads(func(c *transport.Conn) error {
		if err := c.RequestService("x"); err != nil {
			return err
		}
		return c.WaitService()
	}),

	"Conn.WritePacket": writes(func(c *transport.Conn) error { return c.WritePacket(make80(30 << 10)) }),
	"Conn.Batch":       writes(func(c *transport.Conn) error { return writeAll(c, make80(30<<10), make80(30<<10)) }),
	"Conn.Unimplemented": func(t *testing.T) waittest.Blocked {
		b := writes(func(c *transport.Conn) (err error) {
			for i := 0; i < 1e5 && err == nil; i++ {
				err = c.Unimplemented()
			}
			return errors.Join(err, errEnough)
		})(t)
		// Answers to a server that takes nothing are dropped: reading goes on.
		b.Ends[1].Want, b.Ends[2].Want = []error{errEnough}, []error{errEnough}
		return b
	},

	"Conn.WritePacket, for its turn":    queues(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.Batch, for its turn":          queues(func(c *transport.Conn) error { return writeAll(c, []byte{80}) }),
	"Conn.RequestService, for its turn": queues(func(c *transport.Conn) error { return c.RequestService("x") }),
	"Conn.Rekey, for its turn":          queues((*transport.Conn).Rekey),
	"Conn.Flush, for its turn":          queues((*transport.Conn).Flush),
	"Conn.Flush, of a held request": writes(func(c *transport.Conn) error {
		if err := c.RequestService(string(make80(200 << 10))); err != nil {
			return err
		}
		return c.Flush()
	}),

	"Conn.WritePacket, for a key exchange":    exchanges(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.Batch, for a key exchange":          exchanges(func(c *transport.Conn) error { return writeAll(c, []byte{80}, []byte{80}) }),
	"Conn.RequestService, for a key exchange": exchanges(func(c *transport.Conn) error { return c.RequestService("x") }),

	"Conn.WritePacket, for the handshake":    unshaken(func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }),
	"Conn.Batch, for the handshake":          unshaken(func(c *transport.Conn) error { return writeAll(c, []byte{80}) }),
	"Conn.RequestService, for the handshake": unshaken(func(c *transport.Conn) error { return c.RequestService("x") }),
}

var errEnough = errors.New("enough")

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// stuckVerifier waits for the end of its context.
var stuckVerifier = transport.HostKeyFunc(func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
	<-ctx.Done()
	return ctx.Err()
})

// handshake is a handshake over nc. Its failure is the first error of the connection, so
// only Close makes that net.ErrClosed.
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

// lastWord is the time to send SSH_MSG_DISCONNECT.
const lastWord = 50 * time.Millisecond

// shakes makes a handshake wait for a server that runs a script.
func shakes(v transport.HostKeyVerifier, run script) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		nc, server := sshtest.Pipe()
		go scripted(t, run).ServeConn(server)
		return handshake(t, nc, v, func() { server.Close() }, io.ErrUnexpectedEOF)
	}
}

// with returns a connection whose server runs a script after the handshake, and the
// ends of every call.
func with(t *testing.T, lost error, run script) (*transport.Conn, []waittest.End) {
	nc, server := sshtest.Pipe()
	go scripted(t, func(p *wire.Peer) {
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

// reads makes do wait for a server that says nothing.
func reads(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := with(t, io.ErrUnexpectedEOF, drain)
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// stalled returns a connection to a server that does not read, and the ends of every
// call.
func stalled(t *testing.T) (*transport.Conn, []waittest.End) {
	stop := make(chan struct{})
	c, ends := with(t, net.ErrClosed, func(*wire.Peer) { <-stop })
	t.Cleanup(func() { close(stop) })
	return c, ends
}

// writes repeats do until do waits.
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

// queues makes do wait behind a write that waits.
func queues(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := stalled(t)
		go func() { _ = writeAll(c, make80(30<<10), make80(30<<10), make80(30<<10)) }()
		synctest.Wait()
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// exchanges makes do wait for a key exchange without answers of the server.
func exchanges(do func(c *transport.Conn) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, ends := with(t, io.ErrUnexpectedEOF, drain)
		require.NoError(t, c.Rekey())
		go func() { _, _ = c.ReadPacket() }() // the reader notices the end
		ends = append(ends, waittest.End{
			Name: "HandshakeTimeout", By: func() {}, Want: []error{net.ErrClosed, context.DeadlineExceeded}, After: 2 * time.Minute,
		})
		return waittest.Blocked{Ends: ends, Do: func(context.Context) error { return do(c) }}
	}
}

// unshaken makes do wait for a handshake that does not begin.
func unshaken(do func(c *transport.Conn) error) waittest.Call {
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
