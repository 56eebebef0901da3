package connection_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// A reset is told to whoever meets it first, and the other direction of the
// same connection just ends. All calls get the first cause all the same.
func TestFirstCauseReachesEveryCall(t *testing.T) {
	farewell := errors.New("farewell")
	for name, test := range map[string]struct {
		lose func(p *peer)
		want []error // the first one is that of calls that wait while a write fails
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

// A channel that is given up lets go of what waits for room among the packets
// to be sent, though nothing gets room.
func TestCloseOfTheChannelEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		other, _ := p.open(c, nil)
		p.fill(c)
		request := func(ch *connection.Channel) <-chan error {
			return call(func() error { return ch.Request(t.Context(), "x", nil) })
		}
		closed, kept := request(ch), request(other)
		synctest.Wait()
		require.NoError(t, ch.Close())
		require.ErrorIs(t, <-closed, net.ErrClosed)
		synctest.Wait()
		require.Empty(t, kept)

		third := request(ch)
		require.ErrorIs(t, <-third, net.ErrClosed)
		p.send(&closeMsg{id})
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-kept, net.ErrClosed)
	})
}
