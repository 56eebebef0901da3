package nacre_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
)

// A deferred Close of a pipe must not wait for a Start that never comes, and a
// Close before Start counts.
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

// C17: a command without readers of its output, or without input, does not hang.
func TestOutputThatNobodyWants(t *testing.T) {
	client := embedded(t, nil)
	require.NoError(t, client.Command(t.Context(), "head -c 10000000 /dev/zero").Run())
	require.NoError(t, client.Command(t.Context(), "head -c 10000000 /dev/zero >&2").Run())
	require.NoError(t, client.Command(t.Context(), "cat").Run()) // nil is an empty input
}

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
	require.Equal(t, "100000\n", string(out)) // the bytes before the error were sent
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
	var exit *channel.ExitError // the status wins over the writer's error, as in os/exec
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Equal(t, 5, exit.Status)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// soleWriter notices when two goroutines write at once. Because of the slice,
// soleWriters cannot be compared; pointers to soleWriters can.
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
			require.Empty(t, exit.Stderr) // cmd.Stderr has the text instead
			require.True(t, bytes.Equal(text, stderr.Bytes()))
		}
	}
}

// A stuck writer holds up Wait for WaitDelay and 50 ms at most, and the error says
// that the output is not complete.
func TestWriterThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := inMemory(t, nil).Command(ctx, "echo hello")
		r, w := io.Pipe()
		defer r.Close()
		cmd.Stdout = w
		begin := time.Now()
		err := cmd.Run()
		require.Equal(t, time.Minute+2*time.Second+50*time.Millisecond, time.Since(begin))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "not copied to its end")
	})
}
