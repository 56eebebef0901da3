package connection_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// blockedCalls are all calls that can wait, on a connection whose peer grants
// no window and answers nothing.
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

// endings are the ways in which a connection ends, and what Wait returns.
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

// C21
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

func TestCloseWritesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.open(c, nil)
		_, err := ch.Write(make([]byte, 200<<10))
		require.NoError(t, err)
		require.NoError(t, ch.Close())
		require.NoError(t, c.Close())
		total := 0
		for total < 200<<10 {
			total += len(expect[dataMsg](p).Data)
		}
		expect[closeMsg](p)
		_, err = p.ReadPacket()
		require.ErrorIs(t, err, io.EOF)
	})
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

// stuckTransport is in a WritePacket that Close does not end.
type stuckTransport struct {
	*end
	release chan struct{}
}

func (s stuckTransport) WritePacket([]byte) error {
	<-s.release
	return nil
}

// batchTransport has the optional method, and notes how many packets come at
// once.
type batchTransport struct {
	*end
	begin   chan struct{}
	batches []int
}

func (b *batchTransport) WritePackets(packets ...[]byte) error {
	<-b.begin
	b.batches = append(b.batches, len(packets))
	for _, packet := range packets {
		if err := b.WritePacket(packet); err != nil {
			return err
		}
	}
	return nil
}

func TestSeveralPacketsAreWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		transport := &batchTransport{end: ours, begin: make(chan struct{})}
		c := connection.New(transport, nil)
		p := &peer{t: t, end: theirs, ours: ours}
		for i := range 10 {
			_, err := c.SendRequest(t.Context(), string('a'+rune(i)), false, nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		close(transport.begin)
		for i := range 10 {
			require.Equal(t, string('a'+rune(i)), expect[globalRequestMsg](p).Name)
		}
		require.NoError(t, c.Close())
		<-c.Done()
		require.Equal(t, []int{1, 9}, transport.batches)
	})
}

func TestErrorsSayWhatHappened(t *testing.T) {
	for want, err := range map[string]error{
		`connection: channel open refused: resource shortage: "a\nb"`: &connection.OpenError{Reason: 4, Message: "a\nb"[:1] + "\n"[:0] + "\nb"[:0] + "\nb"},
		`connection: channel open refused: reason 77: ""`:             &connection.OpenError{Reason: 77},
		`connection: request "exec" refused`:                          &connection.RequestError{Name: "exec"},
		`connection: protocol error: x`:                               &connection.ProtocolError{Detail: "x"},
		`connection: no answer to 3 keepalives, 15s each`:             &connection.KeepAliveError{Interval: 15 * time.Second, Count: 3},
	} {
		require.EqualError(t, err, want)
	}
}

var keepAlives = map[string]struct {
	config connection.Config
	peer   func(p *peer)
	asked  int           // keepalives that the peer has not read at the end
	ends   time.Duration // 0: does not
}{
	"off": {
		connection.Config{}, func(*peer) {}, 0, 0,
	},
	"no sign of life": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 2}, func(*peer) {}, 2, 3 * time.Minute,
	},
	"default count": {
		connection.Config{KeepAliveInterval: time.Minute}, func(*peer) {}, 3, 4 * time.Minute,
	},
	"refused, which is an answer": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1}, func(p *peer) {
			for range 5 {
				expect[globalRequestMsg](p)
				p.send(&requestFailureMsg{})
			}
		}, 1, 7 * time.Minute,
	},
	"traffic of the peer": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1}, func(p *peer) {
			for range 29 {
				time.Sleep(20 * time.Second)
				p.send(&globalRequestMsg{"x", false, nil})
			}
		}, 1, 12 * time.Minute,
	},
	"peer that does not read": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 4}, func(p *peer) { p.in.setLimit(-1) }, 0, 5 * time.Minute,
	},
}

func TestKeepAlive(t *testing.T) {
	for name, test := range keepAlives {

		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ours, theirs := pipe()
				p := &peer{t: t, end: theirs, ours: ours}
				c := connection.New(ours, &test.config)
				test.peer(p)
				if test.ends == 0 {
					time.Sleep(24 * time.Hour)
					require.Zero(t, theirs.in.length())
					require.NoError(t, c.Close())
					return
				}
				waiting := async(func() ([]byte, error) { return c.Request(t.Context(), "x", nil) })
				err := c.Wait()
				require.Equal(t, test.ends, time.Since(begin))
				var silent *connection.KeepAliveError
				require.ErrorAs(t, err, &silent)
				require.Equal(t, time.Minute, silent.Interval)
				var timeout net.Error
				require.ErrorAs(t, (<-waiting).err, &timeout)
				require.True(t, timeout.Timeout())
				asked := 0
				for theirs.in.length() > 0 {
					if expect[globalRequestMsg](p).Name == "keepalive@openssh.com" {
						asked++
					}
				}
				require.Equal(t, test.asked, asked)
			})
		})
	}
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
