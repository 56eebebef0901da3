package channel_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// login returns a connection to a server in the process.
func login(t *testing.T) *connection.Conn {
	t.Helper()
	s := sshtest.NewServer(t, nil)
	client, err := nacre.Dial(t.Context(), s.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKey),
		Auth:    []userauth.Method{userauth.PublicKeys(s.Signer)},
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client.Conn()
}

// tunnels are the ways to a net.Conn: our end and the far end.
var tunnels = map[string]func(t *testing.T, c *connection.Conn) (ours, far net.Conn){
	"dialled": func(t *testing.T, c *connection.Conn) (ours, far net.Conn) {
		return dialled(t, c, "tcp", "127.0.0.1:0")
	},
	"dialled by a path": func(t *testing.T, c *connection.Conn) (ours, far net.Conn) { return dialled(t, c, "unix", socket(t)) },
	"accepted": func(t *testing.T, c *connection.Conn) (ours, far net.Conn) {
		return accepted(t, c, "tcp", "localhost:0")
	},
	"accepted by a path": func(t *testing.T, c *connection.Conn) (ours, far net.Conn) {
		return accepted(t, c, "unix", socket(t))
	},
}

func socket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "") // shorter than t.TempDir, as sockets need
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func dialled(t *testing.T, c *connection.Conn, network, addr string) (ours, far net.Conn) {
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	defer l.Close()
	ours, err = channel.Dial(t.Context(), c, network, l.Addr().String())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	return ours, far
}

func accepted(t *testing.T, c *connection.Conn, network, addr string) (ours, far net.Conn) {
	l, err := channel.Listen(t.Context(), c, network, addr)
	require.NoError(t, err)
	defer l.Close()
	far, err = net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	ours, err = l.Accept()
	require.NoError(t, err)
	return ours, far
}

// A tunnel is a net.Conn in every respect.
func TestTunnelsAreNetConns(t *testing.T) {
	for name, tunnel := range tunnels {
		for test, f := range map[string]func(t *testing.T, ours, far net.Conn){
			"both ways at once":        bothWays,
			"every method at once":     everyMethod,
			"close unblocks":           closeUnblocks,
			"deadlines":                deadlines,
			"end of stream":            endOfStream,
			"closed twice and at once": closedTwice,
		} {
			t.Run(name+"/"+test, func(t *testing.T) {
				ours, far := tunnel(t, login(t))
				defer ours.Close()
				defer far.Close()
				f(t, ours, far)
			})
		}
	}
}

func bothWays(t *testing.T, ours, far net.Conn) {
	data := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	var wg sync.WaitGroup
	var got [2][]byte
	var errs [4]error
	for i, c := range []net.Conn{ours, far} {
		wg.Go(func() {
			_, errs[2*i] = io.Copy(c, struct{ io.Reader }{bytes.NewReader(data)})
			c.(interface{ CloseWrite() error }).CloseWrite()
		})
		wg.Go(func() { got[i], errs[2*i+1] = io.ReadAll(c) })
	}
	wg.Wait()
	require.Equal(t, [4]error{}, errs)
	require.True(t, bytes.Equal(data, got[0]))
	require.True(t, bytes.Equal(data, got[1]))
}

// everyMethod expects no results: the race detector must find nothing, and all calls end.
func everyMethod(t *testing.T, ours, far net.Conn) {
	var reader, wg sync.WaitGroup
	reader.Go(func() { io.Copy(io.Discard, far) })
	for range 20 {
		for _, f := range []func(){
			func() { ours.Read(make([]byte, 10)) },
			func() { ours.Write(make([]byte, 10)) },
			func() { ours.SetDeadline(time.Now().Add(20 * time.Millisecond)) },
			func() { ours.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) },
			func() { ours.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) },
			func() { _ = ours.LocalAddr().String() + ours.RemoteAddr().String() },
		} {
			wg.Go(f)
		}
	}
	wg.Wait()
	require.NoError(t, ours.Close())
	reader.Wait()
}

func closeUnblocks(t *testing.T, ours, far net.Conn) {
	read := call(func() error { _, err := ours.Read(make([]byte, 1)); return err })
	written := call(func() error {
		for {
			if _, err := ours.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	_, err := far.Read(make([]byte, 1)) // the writer has begun
	require.NoError(t, err)
	require.NoError(t, ours.Close())
	require.ErrorIs(t, <-read, net.ErrClosed)
	require.ErrorIs(t, <-written, net.ErrClosed)
	_, err = ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = ours.Write(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, ours.SetDeadline(time.Now()), net.ErrClosed)
	_, err = io.Copy(io.Discard, far) // and the far end sees an end
	require.NoError(t, err)
}

func deadlines(t *testing.T, ours, far net.Conn) {
	read := call(func() error { _, err := ours.Read(make([]byte, 1)); return err })
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(-time.Hour))) // for a read that waits already
	err := <-read
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = far.Write([]byte("x"))
	require.NoError(t, err)
	_, err = ours.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, ours.SetWriteDeadline(time.Now().Add(-1)))
	_, err = ours.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, ours.SetWriteDeadline(time.Time{}))
	_, err = ours.Write([]byte("x"))
	require.NoError(t, err)
}

func endOfStream(t *testing.T, ours, far net.Conn) {
	_, err := far.Write([]byte("the end"))
	require.NoError(t, err)
	require.NoError(t, far.Close())
	got, err := io.ReadAll(ours)
	require.NoError(t, err)
	require.Equal(t, "the end", string(got))
	for range 3 {
		n, err := ours.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
}

func closedTwice(t *testing.T, ours, far net.Conn) {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = ours.Close() })
	}
	wg.Wait()
	require.Equal(t, make([]error, 8), errs)
	_, err := far.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

func TestListenOnAPortThatIsTaken(t *testing.T) {
	c := login(t)
	l, err := channel.Listen(t.Context(), c, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NotZero(t, l.Addr().(*net.TCPAddr).Port)
	_, err = channel.Listen(t.Context(), c, "tcp", l.Addr().String())
	var refused *connection.RequestError
	require.ErrorAs(t, err, &refused)

	// The first listener is not disturbed by the failure of the second.
	far, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer far.Close()
	ours, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, far.LocalAddr().String(), ours.RemoteAddr().String())
	require.NoError(t, ours.Close())
	require.NoError(t, l.Close())
}
