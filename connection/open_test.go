package connection_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

func TestOpenSaysWhatWeGrant(t *testing.T) {
	for name, test := range map[string]struct {
		config            *connection.Config
		window, maxPacket uint32
	}{
		"defaults": {nil, 2 << 20, 32 << 10},
		"negative": {&connection.Config{Window: -1, MaxPacket: -1, MaxChannels: -1}, 2 << 20, 32 << 10},
		"chosen":   {&connection.Config{Window: 5, MaxPacket: 3}, 5, 3},
		"absurd":   {&connection.Config{Window: 1<<31 - 1, MaxPacket: 1<<31 - 1}, 1 << 30, 128 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, test.config)
				ctx, cancel := context.WithCancel(t.Context())
				done := call(func() error {
					_, err := c.OpenChannel(ctx, "x@example.com", []byte("extra"), nil)
					return err
				})
				m := expect[openMsg](p)
				require.Equal(t, "x@example.com", m.Type)
				require.Equal(t, "extra", string(m.Payload))
				require.Equal(t, test.window, m.Window)
				require.Equal(t, test.maxPacket, m.MaxPacket)
				cancel()
				require.ErrorIs(t, <-done, context.Canceled)
			})
		})
	}
}

func TestOpenRefusedIsTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		done := call(func() error {
			_, err := c.OpenChannel(t.Context(), "session", nil, nil)
			return err
		})
		m := expect[openMsg](p)
		p.send(&openFailureMsg{Recipient: m.Sender, Reason: 2, Message: strings.Repeat("no\n", 1000)})
		var refused *connection.OpenError
		err := <-done
		require.ErrorAs(t, err, &refused)
		require.Equal(t, connection.ConnectFailed, refused.Reason)
		require.Len(t, refused.Message, 200)
		require.NotContains(t, err.Error(), "\n")

		// The number is gone with the refusal.
		p.send(&openFailureMsg{Recipient: m.Sender, Reason: 2})
		require.ErrorAs(t, c.Wait(), new(*connection.ProtocolError))
	})
}

func TestOpenAbandonedIsClosedWhenConfirmedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{MaxChannels: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := call(func() error {
			_, err := c.OpenChannel(ctx, "session", nil, nil)
			return err
		})
		m := expect[openMsg](p)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)

		_, err := c.OpenChannel(t.Context(), "session", nil, nil)
		var full *connection.OpenError
		require.ErrorAs(t, err, &full, "the slot is taken until the peer has answered")
		require.Equal(t, connection.ResourceShortage, full.Reason)

		p.send(&confirmMsg{Recipient: m.Sender, Sender: 7, Window: 1000, MaxPacket: 1000})
		require.Equal(t, closeMsg{7}, expect[closeMsg](p))
		p.send(&dataMsg{m.Sender, []byte("swallowed")}, &eofMsg{m.Sender}, &closeMsg{m.Sender})
		synctest.Wait()
		p.quiet()
		ch, id := p.open(c, nil)
		require.NotEqual(t, m.Sender, id, "numbers are not used twice")
		require.NoError(t, ch.Close())
	})
}

func TestOpenAbandonedMayBeRefusedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{MaxChannels: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := call(func() error {
			_, err := c.OpenChannel(ctx, "session", nil, nil)
			return err
		})
		m := expect[openMsg](p)
		cancel()
		<-done
		p.send(&openFailureMsg{Recipient: m.Sender, Reason: 1})
		synctest.Wait()
		p.open(c, nil)
	})
}

func TestOpenWithAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.OpenChannel(ctx, "session", nil, nil)
		require.ErrorIs(t, err, context.Canceled)
		_, err = c.OpenChannel(t.Context(), "session", make([]byte, 1<<20), nil)
		require.ErrorContains(t, err, "longer than 261120")
		synctest.Wait()
		p.quiet()
	})
}

// handler is an OpenFunc that notes its calls.
func handler(asked *[]string, name string, decide func(o *connection.Open)) connection.OpenFunc {
	return func(_ context.Context, o *connection.Open) {
		*asked = append(*asked, name)
		decide(o)
	}
}

func TestPeerOpensAreOfferedNewestFirst(t *testing.T) {
	pass := func(*connection.Open) {}
	reject := func(o *connection.Open) { _ = o.Reject(connection.ConnectFailed, "rejected") }
	for name, test := range map[string]struct {
		handle func(c *connection.Conn, asked *[]string)
		asked  []string
		reason uint32
	}{
		"no handler": {
			func(*connection.Conn, *[]string) {}, nil, 3,
		},
		"handler of another type": {
			func(c *connection.Conn, asked *[]string) { c.HandleOpen("y", handler(asked, "y", reject)) }, nil, 3,
		},
		"all pass": {
			func(c *connection.Conn, asked *[]string) {
				c.HandleOpen("", handler(asked, "any", pass))
				c.HandleOpen("x", handler(asked, "old", pass))
				c.HandleOpen("x", handler(asked, "new", pass))
			}, []string{"new", "old", "any"}, 1,
		},
		"newest decides": {
			func(c *connection.Conn, asked *[]string) {
				c.HandleOpen("x", handler(asked, "old", pass))
				c.HandleOpen("x", handler(asked, "new", reject))
				c.HandleOpen("", handler(asked, "any", pass))
			}, []string{"new"}, 2,
		},
		"removed": {
			func(c *connection.Conn, asked *[]string) {
				c.HandleOpen("x", handler(asked, "old", reject))
				remove := c.HandleOpen("x", handler(asked, "new", pass))
				remove()
				remove()
			}, []string{"old"}, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				var asked []string
				test.handle(c, &asked)
				p.send(&openMsg{Type: "x", Sender: 9, Window: 10, MaxPacket: 10})
				m := expect[openFailureMsg](p)
				require.EqualValues(t, 9, m.Recipient)
				require.Equal(t, test.reason, m.Reason)
				require.Equal(t, test.asked, asked)
			})
		})
	}
}

func TestPeerOpenAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 1000, MaxPacket: 100})
		errs := make(chan error, 2)
		c.HandleOpen("x@example.com", func(ctx context.Context, o *connection.Open) {
			ch, err := o.Accept(func(context.Context, *connection.Request) ([]byte, bool) { return nil, true })
			if err != nil {
				errs <- err
				return
			}
			_, again := o.Accept(nil)
			errs <- again
			errs <- o.Reject(connection.Prohibited, "too late")
			fmt.Fprintf(ch, "%s %s", o.Type(), o.ExtraData())
			ch.Close()
		})
		p.send(&openMsg{Type: "x@example.com", Sender: 9, Window: 100, MaxPacket: 100, Payload: []byte("hello")})
		m := expect[confirmMsg](p)
		require.EqualValues(t, 9, m.Recipient)
		require.EqualValues(t, 1000, m.Window)
		require.EqualValues(t, 100, m.MaxPacket)
		require.Error(t, <-errs)
		require.Error(t, <-errs)
		require.Equal(t, dataMsg{9, []byte("x@example.com hello")}, expect[dataMsg](p))
		require.Equal(t, closeMsg{9}, expect[closeMsg](p))
	})
}

// C12: undecided opens of the peer are bounded.
func TestUndecidedPeerOpensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		c.HandleOpen("x", func(ctx context.Context, _ *connection.Open) { <-ctx.Done() })
		for i := range uint32(300) {
			p.send(&openMsg{Type: "x", Sender: i, Window: 10, MaxPacket: 10})
		}
		synctest.Wait()
		require.Equal(t, 300-256, p.in.length())
		require.EqualValues(t, 4, expect[openFailureMsg](p).Reason)
		require.NoError(t, c.Close())
	})
}

func TestPeerOpensCountAgainstMaxChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{MaxChannels: 2})
		c.HandleOpen("x", func(ctx context.Context, o *connection.Open) { _, _ = o.Accept(nil) })
		p.open(c, nil)
		p.send(&openMsg{Type: "x", Sender: 1, Window: 10, MaxPacket: 10})
		first := expect[confirmMsg](p)
		p.send(&openMsg{Type: "x", Sender: 2, Window: 10, MaxPacket: 10})
		require.EqualValues(t, 4, expect[openFailureMsg](p).Reason)
		p.send(&closeMsg{first.Sender})
		expect[closeMsg](p)
		p.send(&openMsg{Type: "x", Sender: 3, Window: 10, MaxPacket: 10})
		expect[confirmMsg](p)
	})
}

// Opens that nobody waits for count until the peer has answered: without answers no more of
// them are sent.
func TestOpensOfOursCountAgainstMaxChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{MaxChannels: 2})
		p.open(c, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.OpenChannel(ctx, "x", nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		abandoned := expect[openMsg](p).Sender
		_, err = c.OpenChannel(t.Context(), "x", nil, nil)
		var shortage *connection.OpenError
		require.ErrorAs(t, err, &shortage)
		require.Equal(t, connection.ResourceShortage, shortage.Reason)
		p.quiet()
		p.send(&openFailureMsg{abandoned, 1, "", ""})
		synctest.Wait()
		p.open(c, nil)
	})
}

// C7: a message for a former channel is not delivered to a later channel.
func TestNumberOfAChannelIsNotUsedAgain(t *testing.T) {
	c, p := start(t, nil)
	_, first := p.open(c, nil)
	p.send(&closeMsg{first})
	expect[closeMsg](p)
	ch, second := p.open(c, nil)
	require.NotEqual(t, first, second)
	p.send(&dataMsg{first, []byte("late")})
	n, err := ch.Read(make([]byte, 10))
	require.Zero(t, n)
	require.ErrorAs(t, err, new(*connection.ProtocolError))
}

func TestPeerOpenWithoutPacketSizeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		c.HandleOpen("x", func(ctx context.Context, o *connection.Open) { _, _ = o.Accept(nil) })
		p.send(&openMsg{Type: "x", Sender: 1, Window: 10})
		require.EqualValues(t, 2, expect[openFailureMsg](p).Reason)
	})
}

// C12 and P16: a peer that opens without end and does not read is not read any more, instead of
// filling our memory with refusals.
func TestPeerThatOpensAndDoesNotReadIsStopped(t *testing.T) {
	const opens = 60_000
	flood := func(t *testing.T) (*connection.Conn, *peer) {
		c, p := start(t, nil)
		p.in.setLimit(1000)
		p.out.setLimit(1000)
		go func() {
			for i := range uint32(opens) {
				if p.WritePacket(marshal(&openMsg{Type: "junk", Sender: i})) != nil {
					return
				}
			}
		}()
		synctest.Wait()
		require.NotZero(t, p.out.length(), "the connection goes on reading")
		return c, p
	}
	t.Run("every open is answered when it reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p := flood(t)
			for i := range uint32(opens) {
				require.Equal(t, i, expect[openFailureMsg](p).Recipient)
			}
		})
	})
	t.Run("the connection can be closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := flood(t)
			begin := time.Now()
			require.NoError(t, c.Close())
			require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond)
			require.NoError(t, c.Wait())
			_, err := c.OpenChannel(t.Context(), "session", nil, nil)
			require.ErrorIs(t, err, net.ErrClosed)
		})
	})
	t.Run("keepalive ends the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := pipe()
			ours.out.setLimit(1000)
			for i := range uint32(opens) {
				require.NoError(t, theirs.WritePacket(marshal(&openMsg{Type: "junk", Sender: i})))
			}
			c := connection.New(ours, &connection.Config{KeepAliveInterval: time.Second})
			require.ErrorAs(t, c.Wait(), new(*connection.KeepAliveError))
			require.NotZero(t, theirs.out.length())
		})
	})
}

// flooded returns a connection that can send nothing and whose handler of opens is decide, and
// an open for the handler.
func flooded(t *testing.T, decide connection.OpenFunc) (c *connection.Conn, p *peer, open []byte) {
	c, p = start(t, nil)
	c.HandleOpen("x", decide)
	p.fill(c)
	return c, p, marshal(&openMsg{Type: "x", Sender: 7, Window: 10, MaxPacket: 10, Payload: make([]byte, 10_000)})
}

func accept(_ context.Context, o *connection.Open) { _, _ = o.Accept(nil) }

// C12 and P16: a peer that does not read is stopped, however a handler decides.
func TestAnswersToOpensThatCannotLeaveAreBounded(t *testing.T) {
	for name, decide := range map[string]connection.OpenFunc{
		"undecided": func(context.Context, *connection.Open) {},
		"rejected":  func(_ context.Context, o *connection.Open) { _ = o.Reject(connection.Prohibited, "no") },
		"accepted":  accept,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, open := flooded(t, decide)
				p.out.setLimit(1000)
				before, memory := goroutines(), heap()
				go func() {
					for range 20_000 {
						if p.WritePacket(open) != nil {
							return
						}
					}
				}()
				synctest.Wait()
				require.LessOrEqual(t, goroutines(), before+257)
				require.Less(t, heap()-memory, int64(8<<20))
				require.NoError(t, c.Close())
			})
		})
	}
}

// C7 and C12: a peer makes no room for further channels by closing channels before their
// confirmation, by guessed numbers.
func TestChannelsClosedBeforeTheyAreConfirmedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, open := flooded(t, accept)
		before := goroutines()
		for guess := range uint32(1000) {
			if p.WritePacket(open) != nil {
				break // the guess was wrong, for there were no more
			}
			synctest.Wait()
			p.send(&closeMsg{guess})
			synctest.Wait()
		}
		require.LessOrEqual(t, goroutines(), before+256)
		require.NoError(t, c.Close())
	})
}
