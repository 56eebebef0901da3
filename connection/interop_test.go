package connection_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// farConn is a connection whose peer is far away: bytes of the peer arrive late. Only SSH's
// window bounds the bytes on their way.
type farConn struct {
	net.Conn
	late   chan lateBytes
	rest   []byte
	onWay  atomic.Int64 // bytes that have not arrived yet
	mostOn atomic.Int64 // the most of them at a time
}

type lateBytes struct {
	data    []byte
	arrival time.Time
}

func newFarConn(c net.Conn, rtt time.Duration) *farConn {
	f := &farConn{Conn: c, late: make(chan lateBytes, 1<<16)}
	go func() {
		defer close(f.late)
		for {
			p := make([]byte, 64<<10)
			n, err := c.Read(p)
			if err != nil {
				return
			}
			f.mostOn.Store(max(f.mostOn.Load(), f.onWay.Add(int64(n))))
			f.late <- lateBytes{p[:n], time.Now().Add(rtt)}
		}
	}()
	return f
}

func (f *farConn) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		next, ok := <-f.late
		if !ok {
			return 0, io.EOF
		}
		<-time.After(time.Until(next.arrival))
		f.onWay.Add(-int64(len(next.data)))
		f.rest = next.data
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// connect returns a connection to a real server.
func connect(t *testing.T, s *sshtest.Server) *connection.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	return connectOver(t, s, nc, func(tc *transport.Conn) connection.Transport { return tc })
}

// connectOver returns a connection over nc and a decorated transport.
func connectOver(
	t *testing.T, s *sshtest.Server, nc net.Conn, decorate func(*transport.Conn) connection.Transport,
) *connection.Conn {
	t.Helper()
	tc := transport.Client(nc, &transport.Config{Addr: s.Addr, HostKey: transport.FixedHostKey(s.HostKeys...)})
	require.NoError(t, tc.Handshake(t.Context()))
	require.NoError(t, userauth.Authenticate(t.Context(), tc, &userauth.Config{
		User: s.User, Methods: []userauth.Method{userauth.PublicKeys(s.Signer)},
	}))
	c := connection.New(decorate(tc), nil)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func exec(command string) []byte {
	return ssh.Marshal(&struct{ Command string }{command})
}

// The first window allows no more than 2 MiB, and the packets around them, on their way.
func TestWindowGrowsTowardsSSHD(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	far := newFarConn(nc, 500*time.Millisecond)
	c := connectOver(t, s, far, func(tc *transport.Conn) connection.Transport { return tc })
	ch, err := c.OpenChannel(t.Context(), "session", nil, nil)
	require.NoError(t, err)
	require.NoError(t, ch.Request(t.Context(), "exec", exec("cat /dev/zero")))
	for far.mostOn.Load() < 3<<20 {
		_, err := io.CopyN(io.Discard, ch, 1<<20)
		require.NoError(t, err)
	}
}

// *transport.Conn has all optional methods but those of an EarlyTransport.
var (
	_ connection.TryBatcher    = (*transport.Conn)(nil)
	_ connection.WaitNotifier  = (*transport.Conn)(nil)
	_ connection.Unimplementer = (*transport.Conn)(nil)
)

// tracer is a decorator of a real transport.
type tracer struct {
	*transport.Conn
	read, written, direct atomic.Int64 // data in packets, in bytes, and batches of a TryBatch
}

func (c *tracer) ReadPacket() ([]byte, error) {
	packet, err := c.Conn.ReadPacket()
	if err == nil && packet[0] == 94 {
		c.read.Add(int64(len(packet) - 9))
	}
	return packet, err
}

func (c *tracer) WritePacket(packet []byte) error {
	if packet[0] == 94 {
		c.written.Add(int64(len(packet) - 9))
	}
	return c.Conn.WritePacket(packet)
}

func (c *tracer) TryBatch(write func() error) (ok, more bool, err error) {
	ok, more, err = c.Conn.TryBatch(write)
	if ok {
		c.direct.Add(1)
	}
	return ok, more, err
}

// A decorator of a real transport sees all data, and direct writes go on.
func TestDecoratorOfARealTransport(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	var traced *tracer
	c := connectOver(t, s, nc, func(tc *transport.Conn) connection.Transport {
		traced = &tracer{Conn: tc}
		return traced
	})
	ch, err := c.OpenChannel(t.Context(), "session", nil, nil)
	require.NoError(t, err)
	require.NoError(t, ch.Request(t.Context(), "exec", exec("cat")))
	data := pattern(5_000_000)
	written := async(func() (int, error) {
		n, err := ch.Write(data)
		return n, errors.Join(err, ch.CloseWrite())
	})
	got, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, result[int]{len(data), nil}, <-written)
	require.True(t, bytes.Equal(data, got))
	require.EqualValues(t, len(data), traced.read.Load())
	require.EqualValues(t, len(data), traced.written.Load())
	require.Positive(t, traced.direct.Load())
}

// Both servers give the number 0 to the first channel of a connection.
func TestEarlyChannelOfRealServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *sshtest.Server{
		"openssh":  func(t *testing.T) *sshtest.Server { return sshtest.OpenSSH(t, nil) },
		"dropbear": func(t *testing.T) *sshtest.Server { return sshtest.Dropbear(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, start(t))
			status := make(chan []byte, 1)
			ch, err := c.OpenChannelEarly(t.Context(), "session", nil, 0,
				func(_ context.Context, r *connection.Request) ([]byte, bool) {
					if r.Name == "exit-status" {
						status <- r.Payload
					}
					return nil, true
				})
			require.NoError(t, err)
			run, err := ch.SendRequest(t.Context(), "exec", true, exec("wc -c; exit 3"))
			require.NoError(t, err)
			_, err = ch.Write(make([]byte, 100_000)) // more than may go early
			require.NoError(t, err)
			require.NoError(t, ch.CloseWrite())
			_, err = run.Wait(t.Context())
			require.NoError(t, err)
			out, err := io.ReadAll(ch)
			require.NoError(t, err)
			require.Equal(t, "100000\n", string(out))
			require.NoError(t, ch.Wait())
			require.Equal(t, u32(3), <-status)
		})
	}
}
