package nacre_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
)

// inMemory returns a client of a server without sockets, for a bubble of synctest.
func inMemory(t *testing.T, handlers map[string]sshtest.HandlerFunc) *nacre.Client {
	t.Helper()
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Handlers: handlers})
	return dial(t, s, func(c *nacre.Config) { c.Dial = s.DialContext })
}

// stubborn returns a command that outlives every signal, and reports each signal.
func stubborn(signals chan<- ssh.Signal) map[string]sshtest.HandlerFunc {
	return map[string]sshtest.HandlerFunc{"stubborn": func(x *sshtest.Session) int {
		for {
			select {
			case s := <-x.Signals:
				signals <- s
			case <-x.Done():
				return -1
			}
		}
	}}
}

func TestWaitDelay(t *testing.T) {
	for name, test := range map[string]struct{ delay, takes time.Duration }{
		"default":  {0, 2 * time.Second},
		"long":     {time.Hour, time.Hour},
		"short":    {time.Millisecond, time.Millisecond},
		"negative": {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan ssh.Signal, 16)
				client := inMemory(t, stubborn(signals))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := client.Command(ctx, "stubborn")
				cmd.WaitDelay = test.delay
				begin := time.Now()
				err := cmd.Run()
				require.Equal(t, time.Minute+test.takes, time.Since(begin))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, channel.ErrNoExitStatus)
				synctest.Wait()
				require.Len(t, signals, 1) // TERM is sent even if WaitDelay is negative
				require.Equal(t, ssh.SIGTERM, <-signals)
				require.NoError(t, client.Command(t.Context(), "true").Run())
			})
		})
	}
}

func TestCommandThatDiesOfTheSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cmd := inMemory(t, nil).Command(ctx, "sleep infinity")
		cmd.WaitDelay = time.Hour
		require.NoError(t, cmd.Start())
		begin := time.Now()
		cancel(enough)
		err := cmd.Wait()
		require.Zero(t, time.Since(begin))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, enough)
		var exit *channel.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, ssh.SIGTERM, exit.Signal)
	})
}

func TestCancelOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan ssh.Signal, 16)
		client := inMemory(t, stubborn(signals))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := client.Command(ctx, "stubborn")
		cmd.Cancel = func() error { return cmd.Session.Signal(context.Background(), ssh.SIGHUP) }
		require.ErrorIs(t, cmd.Run(), context.DeadlineExceeded)
		require.Equal(t, ssh.SIGHUP, <-signals)
		require.Empty(t, signals)
	})
	synctest.Test(t, func(t *testing.T) { // a Cancel that makes the command end well
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := inMemory(t, nil).Command(ctx, "cat")
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		cmd.Cancel = stdin.Close
		require.NoError(t, cmd.Run())
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
	synctest.Test(t, func(t *testing.T) { // an error of Cancel is ignored
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := inMemory(t, nil).Command(ctx, "cat")
		r, w := io.Pipe()
		defer w.Close()
		cmd.Stdin = r
		cmd.Cancel = func() error { return io.ErrUnexpectedEOF }
		err := cmd.Run()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestContextThatEndsAfterTheCommandMeansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		canceled := false
		cmd := inMemory(t, nil).Command(ctx, "true")
		cmd.Cancel = func() error { canceled = true; return nil }
		require.NoError(t, cmd.Run())
		cancel()
		synctest.Wait()
		require.False(t, canceled)
	})
	synctest.Test(t, func(t *testing.T) { // nor does an end between the command's end and Wait
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		client := inMemory(t, nil)
		good, bad := client.Command(ctx, "true"), client.Command(ctx, "exit 3")
		require.NoError(t, good.Start())
		require.NoError(t, bad.Start())
		<-good.Session.Done()
		<-bad.Session.Done()
		<-time.After(time.Hour)
		require.NoError(t, good.Wait())
		err := bad.Wait()
		var exit *channel.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.Status)
	})
}

// Wait may come long after the context has ended and the session was closed.
func TestLateWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := inMemory(t, stubborn(make(chan ssh.Signal, 1))).Command(ctx, "stubborn")
		require.NoError(t, cmd.Start())
		<-time.After(time.Hour)
		err := cmd.Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, channel.ErrNoExitStatus)
		require.ErrorContains(t, cmd.Wait(), "called before")
	})
}

func TestContextThatEndsDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := inMemory(t, nil)
		require.NoError(t, client.Command(t.Context(), "true").Run())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, client.Command(ctx, "true").Start(), context.Canceled)
		_, err := client.Command(ctx, "true").Output()
		require.ErrorIs(t, err, context.Canceled)
		_, err = client.Session(ctx)
		require.ErrorIs(t, err, context.Canceled)
		_, err = client.DialContext(ctx, "tcp", "127.0.0.1:1")
		require.ErrorIs(t, err, context.Canceled)
		_, err = client.Listen(ctx, "tcp", "127.0.0.1:0")
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Client.Close ends every command at once.
func TestCloseOfTheClientDuringACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := inMemory(t, stubborn(nil))
		cmd := client.Command(t.Context(), "stubborn")
		require.NoError(t, cmd.Start())
		begin := time.Now()
		require.NoError(t, client.Close())
		require.ErrorIs(t, cmd.Wait(), channel.ErrNoExitStatus)
		require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond)
		require.NoError(t, client.Wait())
	})
}

// A caller with a bytes.Buffer reads the buffer once Run has returned, whatever
// the result of Run.
func TestNothingIsWrittenAfterRunHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := inMemory(t, map[string]sshtest.HandlerFunc{"flood": func(x *sshtest.Session) int {
			for {
				if _, err := x.Stdout.Write(make([]byte, 1000)); err != nil {
					return -1
				}
			}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := client.Command(ctx, "flood")
		w := &slowWriter{}
		cmd.Stdout, cmd.WaitDelay = w, 500*time.Microsecond
		require.ErrorIs(t, cmd.Run(), context.DeadlineExceeded)
		require.NotZero(t, w.begun.Load())
		require.Equal(t, w.begun.Load(), w.done.Load(), "a Write was under way")
		before := w.begun.Load()
		time.Sleep(time.Minute)
		require.Equal(t, before, w.begun.Load())
	})
}

// slowWriter takes 7 ms for each Write, and counts the calls.
type slowWriter struct{ begun, done atomic.Int64 }

func (w *slowWriter) Write(p []byte) (int, error) {
	w.begun.Add(1)
	time.Sleep(7 * time.Millisecond)
	w.done.Add(1)
	return len(p), nil
}

// C14: a command without an exit status is never a success, and its output is kept.
func TestUnknownEnd(t *testing.T) {
	client := embedded(t, map[string]sshtest.HandlerFunc{"vanish": func(x *sshtest.Session) int {
		fmt.Fprint(x.Stdout, "some output")
		return -1
	}})
	out, err := client.Command(t.Context(), "vanish").Output()
	require.ErrorIs(t, err, channel.ErrNoExitStatus)
	require.Equal(t, "some output", string(out))
}

// C14: a lost connection is an error of both the output and the command.
func TestLostConnectionDuringACommand(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{Handlers: map[string]sshtest.HandlerFunc{"slow": func(x *sshtest.Session) int {
		fmt.Fprint(x.Stdout, "half")
		<-x.Done()
		return 0
	}}})
	client := dial(t, s, nil)
	cmd := client.Command(t.Context(), "slow")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(stdout, make([]byte, 4))
	require.NoError(t, err)
	s.CloseClientConnections()
	_, err = stdout.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed) // and not io.EOF
	err = cmd.Wait()
	require.ErrorIs(t, err, channel.ErrNoExitStatus)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Error(t, client.Wait())
	require.ErrorIs(t, client.Command(t.Context(), "true").Run(), net.ErrClosed)
}
