package connection_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// farConn is a connection whose peer is far away: what it sends arrives late.
// What is on its way is bounded by SSH's window alone.
type farConn struct {
	net.Conn
	late chan lateBytes
	rest []byte
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
		f.rest = next.data
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// connect has a connection with a real server, which the round trip to is at
// least rtt.
func connect(t *testing.T, s *sshtest.Server, rtt time.Duration, config *connection.Config) *connection.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	if rtt > 0 {
		nc = newFarConn(nc, rtt)
	}
	tc := transport.Client(nc, &transport.Config{Addr: s.Addr, HostKey: transport.FixedHostKey(s.HostKeys...)})
	require.NoError(t, tc.Handshake(t.Context()))
	require.NoError(t, userauth.Authenticate(t.Context(), tc, &userauth.Config{
		User: s.User, Methods: []userauth.Method{userauth.PublicKeys(s.Signer)},
	}))
	c := connection.New(tc, config)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func exec(command string) []byte {
	return ssh.Marshal(&struct{ Command string }{command})
}

// With the first window alone, 2 MiB in each round trip, sshd could not send at
// the rate that is asked for, and which every machine bears.
func TestWindowGrowsTowardsSSHD(t *testing.T) {
	const rtt, windows = 500 * time.Millisecond, 2
	c := connect(t, sshtest.OpenSSH(t, nil), rtt, nil)
	ch, err := c.OpenChannel(t.Context(), "session", nil, nil)
	require.NoError(t, err)
	require.NoError(t, ch.Request(t.Context(), "exec", exec("cat /dev/zero")))
	begin := time.Now()
	for fast := false; !fast; {
		require.Less(t, time.Since(begin), 2*time.Minute)
		const share = windows * (2 << 20)
		start := time.Now()
		_, err := io.CopyN(io.Discard, ch, 3*share)
		require.NoError(t, err)
		fast = time.Since(start) < 3*rtt
	}
}

// Both servers give the number 0 to the first channel of a connection.
func TestPresumedChannelOfRealServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *sshtest.Server{
		"openssh":  func(t *testing.T) *sshtest.Server { return sshtest.OpenSSH(t, nil) },
		"dropbear": func(t *testing.T) *sshtest.Server { return sshtest.Dropbear(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, start(t), 0, nil)
			status := make(chan []byte, 1)
			ch, err := c.PresumeChannel(t.Context(), "session", nil, 0,
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
