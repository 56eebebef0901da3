package connection_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

func TestWriteIsSplitByWindowAndPacketSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 25, 10)
		done := async(func() (int, error) { return ch.Write(bytes.Repeat([]byte("x"), 40)) })
		for _, n := range []int{10, 10, 5} {
			require.Equal(t, dataMsg{id + 1000, bytes.Repeat([]byte("x"), n)}, expect[dataMsg](p))
		}
		synctest.Wait()
		p.quiet()
		p.send(&adjustMsg{id, 0}, &adjustMsg{id, 3})
		require.Len(t, expect[dataMsg](p).Data, 3)
		p.send(&adjustMsg{id, 100})
		require.Len(t, expect[dataMsg](p).Data, 10)
		require.Len(t, expect[dataMsg](p).Data, 2)
		require.Equal(t, result[int]{40, nil}, <-done)
	})
}

// C5: a peer without a window gets no data.
func TestWriteToAPeerWithoutAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 0, 1<<32-1)
		done := async(func() (int64, error) { return io.Copy(ch.Stderr(), strings.NewReader("drip")) })
		synctest.Wait()
		p.quiet()
		for _, b := range []byte("drip") {
			p.send(&adjustMsg{id, 1})
			require.Equal(t, extendedMsg{id + 1000, 1, []byte{b}}, expect[extendedMsg](p))
		}
		require.EqualValues(t, 4, (<-done).value)
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 0, 3)
		for _, b := range []byte("abcdefgh") {
			go func() { _, _ = ch.Write(bytes.Repeat([]byte{b}, 100)) }()
		}
		var got []byte
		for len(got) < 800 {
			p.send(&adjustMsg{id, 7})
			synctest.Wait()
			for p.in.length() > 0 {
				got = append(got, expect[dataMsg](p).Data...)
			}
		}
		for i, b := range got {
			require.Equal(t, got[i/100*100], b)
		}
	})
}

// limitedWriter takes n bytes and then fails.
type limitedWriter struct {
	bytes.Buffer
	n int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		n, _ := w.Buffer.Write(p[:w.n])
		w.n = 0
		return n, io.ErrShortBuffer
	}
	w.n -= len(p)
	return w.Buffer.Write(p)
}

func TestWriteToLeavesWhatItsWriterDidNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		p.send(&dataMsg{id, []byte("hello, ")}, &dataMsg{id, []byte("world")}, &eofMsg{id})
		synctest.Wait()
		w := &limitedWriter{n: 9}
		n, err := ch.WriteTo(w)
		require.ErrorIs(t, err, io.ErrShortBuffer)
		require.EqualValues(t, 9, n)
		rest, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Equal(t, "hello, world", w.String()+string(rest))
	})
}

// P16: a write that waits for a peer who reads nothing is bounded in memory and obeys its
// deadline, as a write that waits for window.
func TestWriteToAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.openWith(c, nil, 1<<32-1, 1<<20)
		p.in.setLimit(1)
		require.NoError(t, ch.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := ch.Write(make([]byte, 16<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Less(t, n, 1<<20)
		require.NoError(t, ch.SetWriteDeadline(time.Time{}))
		done := async(func() (int, error) { return ch.Write([]byte("more")) })
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, ch.Close())
		require.ErrorIs(t, (<-done).err, net.ErrClosed)
	})
}

func TestReadFromSendsUntilTheEndOfItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.open(c, nil)
		broken := io.MultiReader(strings.NewReader("abc"), errorReader{})
		n, err := ch.ReadFrom(broken)
		require.EqualValues(t, 3, n)
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, "abc", string(expect[dataMsg](p).Data))
		require.NoError(t, ch.CloseWrite())
		_, err = ch.ReadFrom(strings.NewReader("abc"))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// ReadFrom sends some packets as read and copies others; all make up a single stream, in order
// with other writes.
func TestReadFromAndWriteTogether(t *testing.T) {
	for name, window := range map[string]uint32{"ample": 1 << 30, "scarce": 50_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.openWith(c, nil, window, 32<<10)
				var pieces []io.Reader
				var want []byte
				for i, size := range []int{1, 32 << 10, 16 << 10, 16<<10 - 10, 100_000, 3, 32<<10 + 1, 20_000} {
					piece := bytes.Repeat([]byte{byte(i)}, size)
					piece[size-1] = 'e'
					want = append(want, piece...)
					pieces = append(pieces, bytes.NewReader(piece))
				}
				go func() {
					for i := 0; i < len(pieces); i += 4 {
						_, _ = ch.ReadFrom(io.MultiReader(pieces[i : i+3]...))
						_, _ = io.Copy(struct{ io.Writer }{ch}, pieces[i+3])
					}
					_ = ch.CloseWrite()
				}()
				var got []byte
				for len(got) < len(want) {
					data := expect[dataMsg](p).Data
					got = append(got, data...)
					p.send(&adjustMsg{id, uint32(len(data))})
				}
				require.True(t, bytes.Equal(want, got))
				expect[eofMsg](p)
			})
		})
	}
}

var errBroken = errors.New("broken")

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errBroken }

// liar is a reader and writer that claims more than it has done.
type liar struct{ count int }

func (l liar) Write([]byte) (int, error) { return l.count, nil }

func (l liar) Read([]byte) (int, error) { return l.count, nil }

func TestCountsOfReadersAndWritersAreNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		p.send(&dataMsg{id, []byte("data")})
		for _, count := range []int{-1, 5, 1 << 30} {
			_, err := ch.WriteTo(liar{count})
			require.ErrorContains(t, err, "invalid count")
		}
		for _, count := range []int{-1, 1 << 30} {
			_, err := ch.ReadFrom(liar{count})
			require.ErrorContains(t, err, "invalid count")
		}
		got := make([]byte, 10)
		n, err := ch.Read(got)
		require.NoError(t, err)
		require.Equal(t, "data", string(got[:n])) // nothing was lost
	})
}

// C17: both directions flow at once.
func TestCatBothWays(t *testing.T) {
	for name, test := range map[string]struct {
		config            connection.Config
		window, maxPacket int
	}{
		"defaults":      {connection.Config{}, 2 << 20, 32 << 10},
		"small windows": {connection.Config{Window: 5000, MaxPacket: 700}, 3000, 999},
		"large packets": {connection.Config{MaxPacket: 128 << 10}, 1 << 20, 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, &test.config, test.window, test.maxPacket)
			ch := openTo(t, c, "cat")
			written := call(func() error {
				_, err := ch.ReadFrom(bytes.NewReader(pattern(bulk)))
				return errors.Join(err, ch.CloseWrite())
			})
			got, err := io.ReadAll(ch)
			require.NoError(t, err)
			require.NoError(t, <-written)
			require.True(t, bytes.Equal(pattern(bulk), got))
			require.NoError(t, ch.Wait())
		})
	}
}

// C17: two streams of a channel flow at once.
func TestBothStreamsAtOnce(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 64 << 10}, 64<<10, 32<<10)
	ch := openTo(t, c, "both streams")
	stderr := async(func() ([]byte, error) {
		var b bytes.Buffer
		_, err := io.Copy(&b, ch.Stderr())
		return b.Bytes(), err
	})
	stdout, err := io.ReadAll(ch)
	require.NoError(t, err)
	got := <-stderr
	require.NoError(t, got.err)
	want := bytes.Repeat(pattern(bulk/64), 64)
	require.True(t, bytes.Equal(want, stdout))
	require.True(t, bytes.Equal(want, got.value))
}

// C17: a closed stderr leaves stdout alone.
func TestClosedStderrDoesNotStallStdout(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 64 << 10}, 64<<10, 32<<10)
	ch := openTo(t, c, "both streams")
	require.NoError(t, ch.Stderr().Close())
	n, err := io.Copy(io.Discard, ch)
	require.NoError(t, err)
	require.EqualValues(t, bulk, n)
}

// C18: an unread channel leaves the other channels alone.
func TestUnreadChannelDoesNotStallTheOthers(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 256 << 10}, 64<<10, 32<<10)
	unread := openTo(t, c, "bulk")
	var others []<-chan result[int64]
	for range 9 {
		others = append(others, async(func() (int64, error) {
			ch, err := c.OpenChannel(context.Background(), "bulk", nil, nil)
			if err != nil {
				return 0, err
			}
			return ch.WriteTo(io.Discard)
		}))
	}
	for _, other := range others {
		require.Equal(t, result[int64]{bulk, nil}, <-other)
	}
	got, err := io.ReadAll(unread)
	require.NoError(t, err)
	require.True(t, bytes.Equal(pattern(bulk), got))
}
