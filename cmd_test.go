package nacre_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
)

// embedded is a client of a server in the process, with these commands too.
func embedded(t *testing.T, handlers map[string]sshtest.HandlerFunc) *nacre.Client {
	t.Helper()
	return dial(t, sshtest.NewServer(t, &sshtest.Options{Handlers: handlers}), nil)
}

func TestWordsOfOSExec(t *testing.T) {
	client := embedded(t, nil)
	var b bytes.Buffer
	started := func(change func(c *nacre.Cmd)) *nacre.Cmd {
		c := client.Command(t.Context(), "cat")
		if change != nil {
			change(c)
		}
		require.NoError(t, c.Start())
		t.Cleanup(func() { c.Session.Close() })
		return c
	}
	fresh := func(change func(c *nacre.Cmd)) *nacre.Cmd {
		c := client.Command(t.Context(), "cat")
		change(c)
		return c
	}
	ended := started(nil)
	require.NoError(t, ended.Wait())
	stdinPipe := func(c *nacre.Cmd) error { _, err := c.StdinPipe(); return err }
	stdoutPipe := func(c *nacre.Cmd) error { _, err := c.StdoutPipe(); return err }
	stderrPipe := func(c *nacre.Cmd) error { _, err := c.StderrPipe(); return err }
	output := func(c *nacre.Cmd) error { _, err := c.Output(); return err }
	combined := func(c *nacre.Cmd) error { _, err := c.CombinedOutput(); return err }
	for name, err := range map[string]error{
		"Start twice":                   started(nil).Start(),
		"Run after Start":               started(nil).Run(),
		"Start after the end":           ended.Start(),
		"Wait twice":                    ended.Wait(),
		"Wait before Start":             client.Command(t.Context(), "true").Wait(),
		"Output with Stdout":            output(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"Output with StdoutPipe":        output(fresh(func(c *nacre.Cmd) { stdoutPipe(c) })),
		"Output after Start":            output(started(nil)),
		"CombinedOutput with Stdout":    combined(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"CombinedOutput with Stderr":    combined(fresh(func(c *nacre.Cmd) { c.Stderr = &b })),
		"CombinedOutput with a pipe":    combined(fresh(func(c *nacre.Cmd) { stderrPipe(c) })),
		"StdinPipe with Stdin":          stdinPipe(fresh(func(c *nacre.Cmd) { c.Stdin = &b })),
		"StdoutPipe with Stdout":        stdoutPipe(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"StderrPipe with Stderr":        stderrPipe(fresh(func(c *nacre.Cmd) { c.Stderr = &b })),
		"StdinPipe twice":               stdinPipe(fresh(func(c *nacre.Cmd) { stdinPipe(c) })),
		"StdoutPipe twice":              stdoutPipe(fresh(func(c *nacre.Cmd) { stdoutPipe(c) })),
		"StderrPipe twice":              stderrPipe(fresh(func(c *nacre.Cmd) { stderrPipe(c) })),
		"StdinPipe after Start":         stdinPipe(started(nil)),
		"StdoutPipe after Start":        stdoutPipe(started(nil)),
		"StderrPipe after Start":        stderrPipe(started(nil)),
		"Stdin set beside its pipe":     fresh(func(c *nacre.Cmd) { stdinPipe(c); c.Stdin = &b }).Start(),
		"Stdout set beside its pipe":    fresh(func(c *nacre.Cmd) { stdoutPipe(c); c.Stdout = &b }).Start(),
		"Env without the equals sign":   fresh(func(c *nacre.Cmd) { c.Env = []string{"A"} }).Run(),
		"Env refused by no shell's set": fresh(func(c *nacre.Cmd) { c.Env = []string{"=A"} }).Run(),
	} {
		require.Error(t, err, name)
		require.True(t, strings.HasPrefix(err.Error(), "nacre: "), "%s: %v", name, err)
	}
	require.Nil(t, client.Command(t.Context(), "true").Session)
	require.NotNil(t, ended.Session)
}

func TestStartThatFails(t *testing.T) {
	refusing := dial(t, sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxSessions 0"}}), nil)
	var refused *connection.OpenError
	require.ErrorAs(t, refusing.Command(t.Context(), "true").Run(), &refused)

	closed := embedded(t, nil)
	require.NoError(t, closed.Close())
	cmd := closed.Command(t.Context(), "cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	uses := []func() error{
		func() error { _, err := stdin.Write([]byte("x")); return err },
		func() error { _, err := io.Copy(stdin, strings.NewReader("x")); return err },
		func() error { _, err := stdout.Read(make([]byte, 1)); return err },
		func() error { _, err := io.Copy(io.Discard, stdout); return err },
		func() error { _, err := stderr.Read(make([]byte, 1)); return err },
	}
	waiting := make(chan error, len(uses))
	for _, use := range uses {
		go func() { waiting <- use() }()
	}
	require.ErrorIs(t, cmd.Start(), net.ErrClosed)
	for _, use := range uses {
		require.ErrorIs(t, <-waiting, net.ErrClosed)
		require.ErrorIs(t, use(), net.ErrClosed)
	}
	for _, c := range []io.Closer{stdin, stdout, stderr} {
		require.ErrorIs(t, c.Close(), net.ErrClosed)
	}
	require.ErrorContains(t, cmd.Wait(), "not started")
}

// A Close that is deferred must not wait for a Start that never comes; and one
// before Start counts.
func TestPipesClosedBeforeStart(t *testing.T) {
	client := embedded(t, nil)
	cmd := client.Command(t.Context(), "cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	for _, c := range []io.Closer{stdin, stdout, stderr} {
		require.NoError(t, c.Close())
	}
	require.NoError(t, cmd.Start())
	require.NoError(t, cmd.Wait()) // cat has seen the end of its input
}

func TestPipesThatAreClosedEarly(t *testing.T) {
	cmd := embedded(t, nil).Command(t.Context(), "head -c 50000000 /dev/zero")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(stdout, make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, stdout.Close()) // drops the rest: the command does not hang
	require.NoError(t, cmd.Wait())
}

// C17
func TestOutputThatNobodyWants(t *testing.T) {
	client := embedded(t, nil)
	require.NoError(t, client.Command(t.Context(), "head -c 10000000 /dev/zero").Run())
	require.NoError(t, client.Command(t.Context(), "head -c 10000000 /dev/zero >&2").Run())
	require.NoError(t, client.Command(t.Context(), "cat").Run()) // no input is an empty one
}

var errBroken = errors.New("broken")

// brokenReader fails after some bytes, together with the last of them.
type brokenReader struct{ n int }

func (r *brokenReader) Read(p []byte) (int, error) {
	n := min(len(p), r.n)
	r.n -= n
	if r.n == 0 {
		return n, errBroken
	}
	return n, nil
}

// brokenWriter takes some bytes and then fails.
type brokenWriter struct{ n int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.n)
	w.n -= n
	if n < len(p) {
		return n, errBroken
	}
	return n, nil
}

func TestSourceThatFails(t *testing.T) {
	cmd := embedded(t, nil).Command(t.Context(), "wc -c")
	cmd.Stdin = &brokenReader{100_000}
	out, err := cmd.Output()
	require.ErrorIs(t, err, errBroken)
	require.ErrorContains(t, err, "nacre: reading Stdin")
	require.Equal(t, "100000\n", string(out)) // what came before was sent
}

func TestWriterThatFails(t *testing.T) {
	client := embedded(t, nil)
	for _, where := range []string{"", " >&2"} {
		for _, w := range []io.Writer{&brokenWriter{100_000}, &brokenWriter{0}, io.Writer(shortWriter{})} {
			cmd := client.Command(t.Context(), "head -c 20000000 /dev/zero"+where)
			cmd.Stdout, cmd.Stderr = w, w
			want := errBroken
			if _, short := w.(shortWriter); short {
				want = io.ErrShortWrite
			}
			require.ErrorIs(t, cmd.Run(), want)
		}
	}
	cmd := embedded(t, map[string]sshtest.HandlerFunc{"fails": func(x *sshtest.Session) int {
		fmt.Fprintln(x.Stdout, "out")
		return 5
	}}).Command(t.Context(), "fails")
	cmd.Stdout = &brokenWriter{}
	var exit *channel.ExitError // as in os/exec, it says more
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Equal(t, 5, exit.Status)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// soleWriter notices when two goroutines write at once. The slice makes it a
// type that cannot be compared, if it is not behind a pointer.
type soleWriter struct {
	busy  *atomic.Int32
	clash *atomic.Bool
	total *atomic.Int64
	_     []byte
}

func (w soleWriter) Write(p []byte) (int, error) {
	if w.busy.Add(1) > 1 {
		w.clash.Store(true)
	}
	w.total.Add(int64(len(p)))
	w.busy.Add(-1)
	return len(p), nil
}

func TestSameWriterForBothStreams(t *testing.T) {
	client := embedded(t, map[string]sshtest.HandlerFunc{"both": func(x *sshtest.Session) int {
		var wg sync.WaitGroup
		for _, w := range []io.Writer{x.Stdout, x.Stderr} {
			wg.Go(func() {
				for range 500 {
					w.Write(make([]byte, 1000))
				}
			})
		}
		wg.Wait()
		return 0
	}})
	w := &soleWriter{busy: new(atomic.Int32), clash: new(atomic.Bool), total: new(atomic.Int64)}
	cmd := client.Command(t.Context(), "both")
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Run())
	require.False(t, w.clash.Load())
	require.EqualValues(t, 1_000_000, w.total.Load())

	cmd = client.Command(t.Context(), "both") // a comparison would panic
	cmd.Stdout, cmd.Stderr = *w, *w
	require.NoError(t, cmd.Run())

	both, err := client.Command(t.Context(), "both").CombinedOutput()
	require.NoError(t, err)
	require.Len(t, both, 1_000_000)
}

func TestEndOfTheStandardErrorIsKept(t *testing.T) {
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 64<<10 + 1, 1 << 20} {
		for _, chunk := range []int{1000, 100_000} {
			text := make([]byte, size)
			for i := range text {
				text[i] = byte(i / 7)
			}
			client := embedded(t, map[string]sshtest.HandlerFunc{"fails": func(x *sshtest.Session) int {
				for c := range slices.Chunk(text, chunk) {
					x.Stderr.Write(c)
				}
				return 3
			}})
			_, err := client.Command(t.Context(), "fails").Output()
			var exit *channel.ExitError
			require.ErrorAs(t, err, &exit)
			require.True(t, bytes.Equal(text[max(0, size-32<<10):], exit.Stderr), "%d bytes", size)

			cmd := client.Command(t.Context(), "fails")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_, err = cmd.Output()
			require.ErrorAs(t, err, &exit)
			require.Empty(t, exit.Stderr) // it has gone where it was wanted
			require.True(t, bytes.Equal(text, stderr.Bytes()))
		}
	}
}

// C14
func TestUnknownEnd(t *testing.T) {
	client := embedded(t, map[string]sshtest.HandlerFunc{"vanish": func(x *sshtest.Session) int {
		fmt.Fprint(x.Stdout, "some output")
		return -1
	}})
	out, err := client.Command(t.Context(), "vanish").Output()
	require.ErrorIs(t, err, channel.ErrNoExitStatus)
	require.Equal(t, "some output", string(out))
}

// C14
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

func TestTerminalOfACommand(t *testing.T) {
	resized := make(chan struct{})
	client := embedded(t, map[string]sshtest.HandlerFunc{"screen": func(x *sshtest.Session) int {
		pty, ok := x.PTY()
		fmt.Fprintln(x.Stdout, ok, pty.Term, pty.Window, pty.Modes)
		close(resized)
		fmt.Fprintln(x.Stdout, <-x.Resizes)
		return 0
	}})
	cmd := client.Command(t.Context(), "screen")
	cmd.PTY = &channel.PTY{Term: "vt220", Size: channel.Size{Columns: 100}}
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	<-resized
	require.NoError(t, cmd.Session.Resize(t.Context(), channel.Size{Columns: 1, Rows: 2, Width: 3, Height: 4}))
	require.NoError(t, cmd.Wait())
	require.Equal(t, "true vt220 {100 24 0 0} [0]\n{1 2 3 4}\n", out.String())
}

func TestManyCommandsAtOnce(t *testing.T) {
	client := embedded(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() {
			cmd := client.Command(t.Context(), "printenv N")
			cmd.Env = []string{fmt.Sprintf("N=%d", i)}
			out, err := cmd.Output()
			if want := fmt.Sprintln(i); err == nil && string(out) != want {
				err = fmt.Errorf("%q instead of %q", out, want)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	require.Equal(t, make([]error, len(errs)), errs)
}
