//go:build unix

package nacre_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
)

// cable is a TCP connection between a client and a server, for a test to cut. The
// client has a socket, so the kernel's buffers are part of the test.
type cable struct {
	client, server *net.TCPConn
	mu             sync.Mutex
	mended         sync.Cond
	cut            bool
}

// lay lays a cable to a server, and returns the client's end.
func (k *cable) lay(t *testing.T, addr string) net.Conn {
	k.mended.L = &k.mu
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	middle, err := l.Accept()
	require.NoError(t, err)
	server, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	k.client, k.server = middle.(*net.TCPConn), server.(*net.TCPConn)
	// Small buffers are soon full.
	require.NoError(t, errors.Join(ours.(*net.TCPConn).SetWriteBuffer(64<<10), k.client.SetReadBuffer(64<<10), k.server.SetWriteBuffer(64<<10)))
	var copies sync.WaitGroup
	copies.Go(func() { k.copy(k.client, k.server) })
	copies.Go(func() { k.copy(k.server, k.client) })
	t.Cleanup(func() {
		ours.Close()
		k.client.Close()
		k.server.Close()
		k.setCut(false)
		copies.Wait()
	})
	return ours
}

// copy carries the bytes of a direction, and then its end. A cut cable holds back
// both.
func (k *cable) copy(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		k.mu.Lock()
		for k.cut {
			k.mended.Wait()
		}
		k.mu.Unlock()
		if err != nil {
			to.CloseWrite()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			from.CloseRead()
			return
		}
	}
}

// setCut cuts or mends the cable. A cut cable passes neither bytes nor an end.
func (k *cable) setCut(cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = cut
	k.mended.Broadcast()
}

// reset sends a RST to the client's kernel.
func (k *cable) reset() {
	k.client.SetLinger(0)
	k.client.Close()
}

// patient is a client over a cable, and the server's process for this client.
type patient struct {
	*nacre.Client
	*cable
	daemon int
}

func newPatient(t *testing.T, keepAlive time.Duration) *patient {
	s := sshtest.OpenSSH(t, nil)
	p := &patient{cable: new(cable)}
	p.Client = dial(t, s, func(c *nacre.Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return p.lay(t, s.Addr), nil }
		c.Connection.KeepAliveInterval = keepAlive
		c.Connection.KeepAliveCount = 2
	})
	out, err := p.Command(t.Context(), "echo $PPID").Output()
	require.NoError(t, err)
	p.daemon, err = strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	return p
}

// signal sends a signal to the server's process.
func (p *patient) signal(t *testing.T, sig syscall.Signal) {
	require.NoError(t, syscall.Kill(p.daemon, sig))
}

// waiting starts calls of every kind that wait for the server, and returns the
// channels of their errors. The output of the command has been read so far.
func (p *patient) waiting(t *testing.T) map[string]<-chan error {
	ctx := context.Background()
	waiting := make(map[string]<-chan error)
	start := func(name string, f func() error) {
		done := make(chan error, 1)
		waiting[name] = done
		go func() { done <- f() }()
	}
	cmd := p.Command(ctx, "echo partial; sleep 1000")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, len("partial\n"))
	_, err = io.ReadFull(stdout, line)
	require.NoError(t, err)
	start("read of output", func() error {
		_, err := stdout.Read(line)
		return err
	})
	start("Wait of a session", func() error { return cmd.Session.Wait(ctx) })

	full, err := p.Session(ctx)
	require.NoError(t, err)
	require.NoError(t, full.Start(ctx, "sleep 1000"))
	start("write", func() error { return fillPipe(full) })

	l, err := p.Listen(ctx, "tcp", "localhost:0")
	require.NoError(t, err)
	start("Accept", func() error {
		_, err := l.Accept()
		return err
	})
	far, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })
	conn, err := p.DialContext(ctx, "tcp", far.Addr().String())
	require.NoError(t, err)
	start("read of a tunnel", func() error {
		_, err := conn.Read(line)
		return err
	})
	return waiting
}

// deaths are the ways in which a connection ends without a word. cause checks how
// the client notices.
var deaths = map[string]struct {
	die   func(t *testing.T, p *patient)
	cause func(err error) bool
}{
	"cable that is cut": {func(_ *testing.T, p *patient) { p.setCut(true) }, silent},
	"server that is suspended": {func(t *testing.T, p *patient) {
		p.signal(t, syscall.SIGSTOP)
		t.Cleanup(func() { p.signal(t, syscall.SIGKILL) })
	}, silent},
	"server that is killed": {func(t *testing.T, p *patient) { p.signal(t, syscall.SIGKILL) }, gone},
	"reset":                 {func(_ *testing.T, p *patient) { p.reset() }, gone},
}

// silent reports whether a keepalive has found the death, unknown to the kernel.
func silent(err error) bool { return errors.As(err, new(*connection.KeepAliveError)) }

// gone reports whether the kernel has told of the death.
func gone(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// P15 and C14: every waiting call fails with the same first cause, and no error
// looks like a regular end. Output from before the death is delivered.
func TestDeathOfAConnection(t *testing.T) {
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time goes by in keepalives
			p := newPatient(t, 10*time.Second)
			waiting := p.waiting(t)
			partial := p.Command(t.Context(), "echo partial; echo more >&2; sleep 1000")
			printed := make(chan struct{})
			partial.Stdout, partial.Stderr = new(strings.Builder), &notify{told: printed}
			require.NoError(t, partial.Start())
			<-printed

			death.die(t, p)
			cause := p.Wait()
			require.Truef(t, death.cause(cause), "%v", cause)
			for name, done := range waiting {
				select {
				case err := <-done:
					require.ErrorIs(t, err, cause, name)
					require.ErrorIs(t, err, net.ErrClosed, name)
					require.NotErrorIs(t, err, io.EOF, name)
				case <-time.After(hang):
					t.Fatalf("%s still waits", name)
				}
			}
			err := partial.Wait()
			require.ErrorIs(t, err, cause)
			require.ErrorIs(t, err, channel.ErrNoExitStatus)
			require.Equal(t, "partial\n", partial.Stdout.(*strings.Builder).String())
			_, err = p.Session(t.Context())
			require.ErrorIs(t, err, cause)
			require.NoError(t, p.Close())
		})
	}
}

// notify closes told at the first write.
type notify struct {
	told chan struct{}
	once sync.Once
}

func (n *notify) Write(b []byte) (int, error) {
	n.once.Do(func() { close(n.told) })
	return len(b), nil
}

// stalled are calls on a connection whose peer has stopped reading, with full
// buffers in both kernels.
var stalled = map[string]func(p *patient, ctx context.Context) error{
	"Session":     func(p *patient, ctx context.Context) error { _, err := p.Session(ctx); return err },
	"DialContext": func(p *patient, ctx context.Context) error { _, err := p.DialContext(ctx, "tcp", "h:1"); return err },
	"Listen":      func(p *patient, ctx context.Context) error { _, err := p.Listen(ctx, "tcp", "localhost:0"); return err },
	"Run":         func(p *patient, ctx context.Context) error { return p.Command(ctx, "true").Run() },
	"Request":     func(p *patient, ctx context.Context) error { _, err := p.Conn().Request(ctx, "x", nil); return err },
	"Flush":       func(p *patient, ctx context.Context) error { return p.Conn().Flush(ctx) },
}

// P15 and P16: writers to a peer that reads nothing are blocked, but the end of a
// context, or Close, lets each of them go.
func TestPeerThatReadsNothing(t *testing.T) {
	for name, stall := range map[string]func(t *testing.T, p *patient){
		"cable that is cut":        deaths["cable that is cut"].die,
		"server that is suspended": deaths["server that is suspended"].die,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, -1)
			var floods []<-chan error
			for range 9 { // so their windows are larger than the kernels' buffers
				floods = append(floods, p.flood(t))
			}
			stall(t, p)
			for stuck := 0; stuck < 5; stuck++ { // once could be a slow machine
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := p.Conn().SendRequest(ctx, "x", false, make([]byte, 16<<10)) // not stopped by a window
				if errors.Join(err, p.Conn().Flush(ctx)) == nil {
					stuck = -1
				}
				cancel()
			}
			for name, call := range stalled {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				soon(t, name, func() error { return call(p, ctx) }, context.DeadlineExceeded)
				cancel()
				soon(t, name+", with an ended context", func() error { return call(p, ctx) }, context.DeadlineExceeded)
			}
			waiting := make(map[string]<-chan error)
			for name, f := range stalled {
				done := make(chan error, 1)
				waiting[name] = done
				go func() { done <- f(p, context.Background()) }()
			}
			rekeyed := make(chan struct{}) // closed with or without room for a KEXINIT
			go func() {
				_ = p.Transport().Rekey()
				close(rekeyed)
			}()
			for i, flood := range floods {
				waiting[fmt.Sprint("write ", i)] = flood
			}
			soon(t, "Close", p.Close)
			soon(t, "Rekey", func() error { <-rekeyed; return nil })
			for name, done := range waiting {
				soon(t, name, func() error { return <-done }, net.ErrClosed)
			}
		})
	}
}

// flood writes to a command until a write fails, and returns the channel of the
// error.
func (p *patient) flood(t *testing.T) <-chan error {
	s, err := p.Session(t.Context())
	require.NoError(t, err)
	s.CloseRead()
	require.NoError(t, s.Start(t.Context(), "cat >/dev/null"))
	done := make(chan error, 1)
	go func() { done <- fillPipe(s) }()
	return done
}

// hang is longer than any call takes, however busy the machine is.
const hang = time.Minute

// soon runs a call that must not hang, and checks its error. The table in
// waits_test.go bounds the time of the calls, on the undisturbed clock of synctest.
func soon(t *testing.T, name string, call func() error, want ...error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		if len(want) == 0 {
			require.NoError(t, err, name)
		}
		for _, want := range want {
			require.ErrorIs(t, err, want, name)
		}
	case <-time.After(hang):
		t.Fatalf("%s still waits", name)
	}
}

// A handshake ends with its context, even if the server accepts and then neither
// reads nor writes.
func TestHandshakeWithAServerThatReadsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := config(sshtest.NewServer(t, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	soon(t, "Dial", func() error {
		_, err := nacre.Dial(ctx, "u@"+l.Addr().String(), c)
		return err
	}, context.DeadlineExceeded)
}

// A full disk of the server makes the command fail. The connection lives, and a
// blocked write to the command returns.
func TestFullDisk(t *testing.T) {
	p := newPatient(t, 0)
	cmd := p.Command(t.Context(), "cat >/dev/full")
	cmd.Stdin = zeros{}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	var exit *channel.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Equal(t, 1, exit.Status)
	require.Contains(t, stderr.String(), "No space left on device")

	cmd = p.Command(t.Context(), "cat >/dev/full")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	soon(t, "write", func() error { return fillPipe(stdin) }, net.ErrClosed)
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.NoError(t, p.Command(t.Context(), "true").Run())
	require.NoError(t, p.Close())
}
