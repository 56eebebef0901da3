package connection_test

import (
	"bytes"
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

// C5
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

func TestReadGivesWindowBackForWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 800, MaxPacket: 400})
		ch, id := p.open(c, nil)
		p.send(&dataMsg{id, bytes.Repeat([]byte("o"), 400)}, &extendedMsg{id, 1, bytes.Repeat([]byte("e"), 400)})
		synctest.Wait()
		p.quiet()
		buf := make([]byte, 99)
		_, err := io.ReadFull(ch, buf)
		require.NoError(t, err)
		synctest.Wait()
		p.quiet()
		_, err = io.ReadFull(ch.Stderr(), buf[:1])
		require.NoError(t, err)
		require.Equal(t, adjustMsg{id + 1000, 100}, expect[adjustMsg](p))
		p.send(&dataMsg{id, bytes.Repeat([]byte("p"), 100)})
		synctest.Wait()
		buf = make([]byte, 401)
		_, err = io.ReadFull(ch, buf)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("o", 301)+strings.Repeat("p", 100), string(buf))
		require.Equal(t, adjustMsg{id + 1000, 401}, expect[adjustMsg](p))
	})
}

// C9
func TestWhatNobodyReadsGivesWindowBack(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(ch *connection.Channel) error
		data    func(id uint32, data []byte) any
	}{
		"unknown extended type": {
			func(*connection.Channel) error { return nil },
			func(id uint32, data []byte) any { return &extendedMsg{id, 1<<32 - 1, data} },
		},
		"extended type 0": {
			func(*connection.Channel) error { return nil },
			func(id uint32, data []byte) any { return &extendedMsg{id, 0, data} },
		},
		"stdout closed for reading": {
			(*connection.Channel).CloseRead,
			func(id uint32, data []byte) any { return &dataMsg{id, data} },
		},
		"stderr closed for reading": {
			func(ch *connection.Channel) error { return ch.Stderr().Close() },
			func(id uint32, data []byte) any { return &extendedMsg{id, 1, data} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, &connection.Config{Window: 800})
				ch, id := p.open(c, nil)
				require.NoError(t, test.prepare(ch))
				for range 1000 {
					p.send(test.data(id, make([]byte, 100)))
					require.Equal(t, adjustMsg{id + 1000, 100}, expect[adjustMsg](p))
				}
			})
		})
	}
}

func TestCloseReadGivesBackWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 800})
		ch, id := p.open(c, nil)
		p.send(&dataMsg{id, make([]byte, 500)}, &extendedMsg{id, 1, []byte("stays")})
		synctest.Wait()
		require.NoError(t, ch.CloseRead())
		require.Equal(t, adjustMsg{id + 1000, 500}, expect[adjustMsg](p))
		_, err := ch.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		p.send(&eofMsg{id})
		rest, err := io.ReadAll(ch.Stderr())
		require.NoError(t, err)
		require.Equal(t, "stays", string(rest))
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

func TestEndOfStreams(t *testing.T) {
	for name, test := range map[string]struct {
		end func(p *peer, id uint32)
		err error // of the reads behind the data
	}{
		"EOF":               {func(p *peer, id uint32) { p.send(&eofMsg{id}) }, io.EOF},
		"EOF twice":         {func(p *peer, id uint32) { p.send(&eofMsg{id}, &eofMsg{id}) }, io.EOF},
		"EOF, then CLOSE":   {func(p *peer, id uint32) { p.send(&eofMsg{id}, &closeMsg{id}) }, io.EOF},
		"CLOSE without EOF": {func(p *peer, id uint32) { p.send(&closeMsg{id}) }, io.EOF},
		"EOF, then lost":    {func(p *peer, id uint32) { p.send(&eofMsg{id}); _ = p.Close() }, io.EOF},
		"data behind EOF": {func(p *peer, id uint32) {
			p.send(&eofMsg{id}, &dataMsg{id, []byte("x")}, &extendedMsg{id, 1, []byte("x")})
		}, io.EOF},
		"lost":             {func(p *peer, id uint32) { _ = p.Close() }, io.ErrUnexpectedEOF},
		"transport failed": {func(p *peer, id uint32) { p.out.fail(os.ErrPermission, nil) }, os.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.open(c, nil)
				p.send(&dataMsg{id, []byte("output")}, &extendedMsg{id, 1, []byte("errors")})
				test.end(p, id)
				synctest.Wait()
				for want, r := range map[string]io.Reader{"output": ch, "errors": ch.Stderr()} {
					got := make([]byte, 100)
					n, err := r.Read(got)
					require.NoError(t, err)
					require.Equal(t, want, string(got[:n]))
					_, err = r.Read(got)
					require.ErrorIs(t, err, test.err)
					if test.err == io.EOF {
						require.Equal(t, io.EOF, err)
					} else {
						require.ErrorIs(t, err, net.ErrClosed)
						require.NotErrorIs(t, err, io.EOF)
					}
				}
			})
		})
	}
}

func TestLastOutputIsReadAfterAWriteHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		p.in.fail(nil, os.ErrPermission)
		_, _ = ch.Write([]byte("x"))
		synctest.Wait()
		_, err := ch.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrPermission)
		p.send(&dataMsg{id, []byte("output")}, &closeMsg{id})
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Equal(t, "output", string(got))
		require.NoError(t, ch.Wait())
		require.ErrorIs(t, c.Wait(), os.ErrPermission)
	})
}

// C8
func TestClosesCrossing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		_, err := ch.Write([]byte("before"))
		require.NoError(t, err)
		require.NoError(t, ch.Close())
		require.NoError(t, ch.Close())
		require.Equal(t, "before", string(expect[dataMsg](p).Data))
		require.Equal(t, closeMsg{id + 1000}, expect[closeMsg](p))
		synctest.Wait()
		select {
		case <-ch.Done():
			t.Fatal("done before the peer has answered")
		default:
		}
		p.send(&dataMsg{id, make([]byte, 4<<20)}, &adjustMsg{id, 1<<32 - 1}, &requestMsg{id, "x", true, nil},
			&successMsg{id}, &closeMsg{id})
		<-ch.Done()
		synctest.Wait()
		p.quiet()
	})
}

// C8
func TestPeerCloseIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		p.send(&closeMsg{id})
		require.NoError(t, ch.Wait())
		require.Equal(t, closeMsg{id + 1000}, expect[closeMsg](p))
		_, err := ch.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, ch.CloseWrite(), net.ErrClosed)
		require.ErrorIs(t, ch.Request(t.Context(), "x", nil), net.ErrClosed)
		require.NoError(t, ch.SetDeadline(time.Now().Add(time.Hour)))
		require.NoError(t, ch.Close())
		synctest.Wait()
		p.quiet()
	})
}

func TestCloseWriteEndsTheStreamAndNotTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 4, 10)
		write := async(func() (int, error) { return ch.Write([]byte("blocked")) })
		synctest.Wait()
		require.NoError(t, ch.CloseWrite())
		require.NoError(t, ch.CloseWrite())
		got := <-write
		require.Equal(t, 4, got.value)
		require.ErrorIs(t, got.err, net.ErrClosed)
		require.Equal(t, "bloc", string(expect[dataMsg](p).Data))
		expect[eofMsg](p)
		_, err := ch.SendRequest(t.Context(), "signal", false, nil)
		require.NoError(t, err)
		expect[requestMsg](p)
		p.send(&adjustMsg{id, 1<<32 - 1}, &dataMsg{id, []byte("still")})
		buf := make([]byte, 10)
		n, err := ch.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "still", string(buf[:n]))
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 1, 10)
		requireTimeout := func(err error) {
			t.Helper()
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		begin := time.Now()
		require.NoError(t, ch.SetDeadline(begin.Add(time.Second)))
		_, err := ch.Read(make([]byte, 1))
		requireTimeout(err)
		_, err = ch.Stderr().Read(make([]byte, 1))
		requireTimeout(err)
		require.Equal(t, time.Second, time.Since(begin))
		synctest.Wait() // the two deadlines have a timer each
		_, err = ch.Write([]byte("x"))
		requireTimeout(err)

		// A deadline is lifted, moved while a call waits, and set in the past.
		require.NoError(t, ch.SetDeadline(time.Time{}))
		n, err := ch.Write([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		blocked := []<-chan result[int]{
			async(func() (int, error) { return ch.Write([]byte("x")) }),
			async(func() (int, error) { return ch.Read(make([]byte, 1)) }),
		}
		synctest.Wait()
		require.NoError(t, ch.SetDeadline(time.Now().Add(time.Hour)))
		require.NoError(t, ch.SetDeadline(time.Now().Add(-1)))
		for _, done := range blocked {
			requireTimeout((<-done).err)
		}
		require.NoError(t, ch.SetReadDeadline(time.Now().Add(time.Hour)))
		p.send(&dataMsg{id, []byte("x")})
		_, err = ch.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, ch.Close())
		require.ErrorIs(t, ch.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, ch.SetWriteDeadline(time.Time{}), net.ErrClosed)
	})
}

// P16: a write that waits for the peer to read at all, not for window, is bounded in
// memory and obeys its deadline too.
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

// Packets that are sent as they were read and such that are copied make up one
// stream, in which other writes keep their place.
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

// C8: RFC 4254 section 5.3. The readers have been told of the end already.
func TestWaitTellsOfDataThatCameAfterEOF(t *testing.T) {
	for name, test := range map[string]struct {
		discard bool
		data    func(id uint32) any
		late    bool
	}{
		"data":           {false, func(id uint32) any { return &dataMsg{id, []byte("x")} }, true},
		"extended data":  {false, func(id uint32) any { return &extendedMsg{id, 1, []byte("x")} }, true},
		"no data":        {false, func(id uint32) any { return &dataMsg{id, nil} }, false},
		"nobody's":       {false, func(id uint32) any { return &extendedMsg{id, 2, []byte("x")} }, false},
		"of no interest": {true, func(id uint32) any { return &dataMsg{id, []byte("x")} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.open(c, nil)
				if test.discard {
					require.NoError(t, ch.CloseRead())
				}
				p.send(&eofMsg{id}, test.data(id), &closeMsg{id})
				var violation *connection.ProtocolError
				require.Equal(t, test.late, errors.As(ch.Wait(), &violation))
				p.send(&globalRequestMsg{"x@example.com", true, nil})
				expect[closeMsg](p)
				expect[requestFailureMsg](p) // the connection has not suffered
			})
		})
	}
}

// liar is a reader and writer that claims more than it has done.
type liar struct{ count int }

func (l liar) Write([]byte) (int, error) { return l.count, nil }
func (l liar) Read([]byte) (int, error)  { return l.count, nil }

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
