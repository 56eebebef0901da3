package connection_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// blockedCalls are all calls that can wait, on a connection whose peer grants no window and
// answers nothing.
func blockedCalls(c *connection.Conn, ch *connection.Channel) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		"Read":        func() error { _, err := ch.Read(make([]byte, 1)); return err },
		"Stderr.Read": func() error { _, err := ch.Stderr().Read(make([]byte, 1)); return err },
		"WriteTo":     func() error { _, err := ch.WriteTo(io.Discard); return err },
		"Write":       func() error { _, err := ch.Write([]byte("x")); return err },
		"Write, next": func() error { _, err := ch.Write([]byte("y")); return err },
		"Request":     func() error { return ch.Request(ctx, "x", nil) },
		"Wait":        ch.Wait,
		"OpenChannel": func() error { _, err := c.OpenChannel(ctx, "x", nil, nil); return err },
		"global":      func() error { _, err := c.Request(ctx, "x", nil); return err },
	}
}

// endings are the ways in which a connection ends, with the result of Wait.
var endings = map[string]struct {
	end   func(c *connection.Conn, p *peer, id uint32) error
	cause func(t *testing.T, err error)
}{
	"Close": {
		func(c *connection.Conn, _ *peer, _ uint32) error { return c.Close() },
		func(t *testing.T, err error) { require.NoError(t, err) },
	},
	"Close twice at once": {
		func(c *connection.Conn, _ *peer, _ uint32) error {
			done := call(c.Close)
			_ = c.Close()
			return <-done
		},
		func(t *testing.T, err error) { require.NoError(t, err) },
	},
	"Close while the peer does not read": {
		func(c *connection.Conn, p *peer, _ uint32) error {
			p.in.setLimit(-1)
			_, _ = c.SendRequest(context.Background(), "x", false, nil)
			return c.Close()
		},
		func(t *testing.T, err error) { require.NoError(t, err) },
	},
	"transport at its end": {
		func(c *connection.Conn, p *peer, _ uint32) error { return p.Close() },
		func(t *testing.T, err error) { require.ErrorIs(t, err, io.ErrUnexpectedEOF) },
	},
	"transport failed": {
		func(c *connection.Conn, p *peer, _ uint32) error { p.out.fail(os.ErrPermission, nil); return nil },
		func(t *testing.T, err error) { require.ErrorIs(t, err, os.ErrPermission) },
	},
	"protocol error": {
		func(c *connection.Conn, p *peer, id uint32) error { p.send(&dataMsg{id + 50, nil}); return nil },
		func(t *testing.T, err error) { require.ErrorAs(t, err, new(*connection.ProtocolError)) },
	},
}

// C21: the end of the connection ends every call.
func TestEndOfTheConnectionReachesEveryCall(t *testing.T) {
	for name, test := range endings {

		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.openWith(c, nil, 0, 10)
				waiting := make(map[string]<-chan error)
				for name, f := range blockedCalls(c, ch) {
					waiting[name] = call(f)
				}
				synctest.Wait()
				begin := time.Now()
				require.NoError(t, test.end(c, p, id))
				test.cause(t, c.Wait())
				check := func(name string, err error) {
					require.ErrorIs(t, err, net.ErrClosed, name)
					if cause := c.Wait(); cause != nil {
						require.ErrorIs(t, err, cause, name)
					}
				}
				for name, done := range waiting {
					check(name, <-done)
				}
				require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond)
				for name, f := range blockedCalls(c, ch) {
					check(name+" afterwards", f())
				}
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestCloseIsNotHeldUpByAHandlerOrItsTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		release := make(chan struct{})
		c := connection.New(stuckTransport{ours, release}, nil)
		_, err := c.SendRequest(t.Context(), "x", true, nil)
		require.NoError(t, err)
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, c.Close())
		require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond)
		close(release)
		require.NoError(t, theirs.Close())
	})
}

// stuckTransport is a transport inside a WritePacket that Close does not end.
type stuckTransport struct {
	*end
	release chan struct{}
}

func (s stuckTransport) WritePacket([]byte) error {
	<-s.release
	return nil
}

func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		for i := range 10 {
			c, p := start(t, nil)
			ch, id := p.open(c, nil)
			_, err := ch.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, ch.Close())
			p.send(&closeMsg{id})
			<-ch.Done()
			synctest.Wait()
			require.Equal(t, before+i+1, goroutines())
		}
	})
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

// A single direction meets a reset, and the other direction of the same connection just ends.
// All calls get the first cause all the same.
func TestFirstCauseReachesEveryCall(t *testing.T) {
	farewell := errors.New("farewell")
	for name, test := range map[string]struct {
		lose func(p *peer)
		want []error // the first is for calls that wait while a write fails
	}{
		"write is reset, read ends": {
			func(p *peer) { p.in.fail(nil, syscall.ECONNRESET); synctest.Wait(); p.out.fail(io.EOF, nil) },
			[]error{syscall.ECONNRESET},
		},
		"read is reset, write ends": {
			func(p *peer) { p.out.fail(syscall.ECONNRESET, nil); synctest.Wait(); p.in.fail(nil, syscall.EPIPE) },
			[]error{syscall.ECONNRESET},
		},
		"write is reset, the peer has said why": {
			func(p *peer) { p.in.fail(nil, syscall.ECONNRESET); synctest.Wait(); p.out.fail(farewell, nil) },
			[]error{syscall.ECONNRESET, farewell},
		},
		"write is reset, read stays silent": {
			func(p *peer) { p.in.fail(nil, syscall.ECONNRESET) },
			[]error{syscall.ECONNRESET},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, _ := p.openWith(c, nil, 0, 10)
				p.in.setLimit(-1)
				waiting := make(map[string]<-chan error)
				for name, f := range blockedCalls(c, ch) {
					waiting[name] = call(f)
				}
				synctest.Wait()
				test.lose(p)
				cause := c.Wait()
				for _, want := range test.want {
					require.ErrorIs(t, cause, want)
				}
				for name, done := range waiting {
					err := <-done
					require.ErrorIs(t, err, test.want[0], name)
					require.NotErrorIs(t, err, io.EOF, name)
				}
				for name, f := range blockedCalls(c, ch) {
					err := f()
					require.ErrorIs(t, err, net.ErrClosed, name)
					for _, want := range test.want {
						require.ErrorIs(t, err, want, name)
					}
				}
				require.ErrorIs(t, c.Flush(t.Context()), test.want[0])
			})
		})
	}
}

func TestThousandChannels(t *testing.T) {
	c, _ := serve(t, nil, 64<<10, 32<<10)
	var channels []*connection.Channel
	for range 1000 {
		channels = append(channels, openTo(t, c, "one"))
	}
	for _, ch := range channels {
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Equal(t, "1", string(got))
		require.NoError(t, ch.Wait())
	}
}
