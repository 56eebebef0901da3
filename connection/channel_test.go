package connection_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

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

// C8: two CLOSE messages that cross end the channel.
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

// C8: a peer's CLOSE is answered once.
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

func TestCloseOfTheChannelReachesItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 0, 10)
		waiting := make(map[string]<-chan error)
		for name, f := range blockedCalls(c, ch) {
			waiting[name] = call(f)
		}
		synctest.Wait()
		require.NoError(t, ch.Close())
		synctest.Wait()
		for name, done := range waiting {
			if name == "OpenChannel" || name == "global" {
				require.Empty(t, done, name)
				continue
			}
			require.ErrorIs(t, <-done, net.ErrClosed, name)
		}
		p.send(&closeMsg{id})
		<-ch.Done()
		require.NoError(t, ch.Wait())
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

// Data in the buffer of a read survives a deadline that passes before the read returns.
func TestReadThatWaitsAndItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		var got []byte
		var sends sync.WaitGroup
		for i := range 100 {
			require.NoError(t, ch.SetReadDeadline(time.Now().Add(time.Second)))
			sends.Go(func() {
				time.Sleep(time.Second)
				_ = p.WritePacket(marshal(&dataMsg{id, []byte{byte(i)}}))
			})
			buf := make([]byte, 10)
			n, _ := ch.Read(buf)
			got = append(got, buf[:n]...)
		}
		require.NoError(t, ch.SetReadDeadline(time.Time{}))
		sends.Wait()
		p.send(&eofMsg{id})
		rest, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Len(t, append(got, rest...), 100)
	})
}
