package connection_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

func TestRequestsTravelInOneFlightAndGetTheirOwnAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		var global, local []*connection.Pending
		for i := range 3 {
			g, err := c.SendRequest(t.Context(), fmt.Sprint("global", i), true, []byte("payload"))
			require.NoError(t, err)
			l, err := ch.SendRequest(t.Context(), fmt.Sprint("local", i), true, nil)
			require.NoError(t, err)
			global, local = append(global, g), append(local, l)
		}
		for i := range 3 {
			g := expect[globalRequestMsg](p)
			require.Equal(t, fmt.Sprint("global", i), g.Name)
			require.Equal(t, "payload", string(g.Payload))
			require.True(t, g.WantReply)
			l := expect[requestMsg](p)
			require.Equal(t, requestMsg{Recipient: id + 1000, Name: fmt.Sprint("local", i), WantReply: true, Payload: []byte{}}, l)
		}
		p.send(&successMsg{id}, &failureMsg{id}, &successMsg{id})
		p.send(&requestFailureMsg{}, &requestSuccessMsg{[]byte("one")}, &requestSuccessMsg{})

		for i, ok := range []bool{true, false, true} {
			_, err := local[i].Wait(t.Context())
			requireAnswer(t, err, ok, fmt.Sprint("local", i))
		}
		for i, ok := range []bool{false, true, true} {
			reply, err := global[i].Wait(t.Context())
			requireAnswer(t, err, ok, fmt.Sprint("global", i))
			if i == 1 {
				require.Equal(t, "one", string(reply))
			}
		}
	})
}

func requireAnswer(t *testing.T, err error, ok bool, name string) {
	t.Helper()
	if ok {
		require.NoError(t, err)
		return
	}
	var refused *connection.RequestError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, name, refused.Name)
}

// C10: the late answer to an abandoned request reaches no other request.
func TestAnswerToAnAbandonedRequestReachesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		ctx, cancel := context.WithCancel(t.Context())
		abandoned := []<-chan error{
			call(func() error { _, err := c.Request(ctx, "abandoned", nil); return err }),
			call(func() error { return ch.Request(ctx, "abandoned", nil) }),
		}
		synctest.Wait()
		cancel()
		for _, done := range abandoned {
			require.ErrorIs(t, <-done, context.Canceled)
		}

		global := async(func() ([]byte, error) { return c.Request(t.Context(), "global", nil) })
		local := call(func() error { return ch.Request(t.Context(), "local", nil) })
		synctest.Wait()
		p.send(&requestSuccessMsg{[]byte("late")}, &successMsg{id})
		p.send(&requestFailureMsg{}, &failureMsg{id})
		requireAnswer(t, (<-global).err, false, "global")
		requireAnswer(t, <-local, false, "local")
	})
}

// C10: an answer without a request is dropped.
func TestAnswersToNothingAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		for range 10_000 {
			p.send(&requestSuccessMsg{}, &requestFailureMsg{}, &successMsg{id}, &failureMsg{id})
		}
		synctest.Wait()
		done := call(func() error { return ch.Request(t.Context(), "mine", nil) })
		expect[requestMsg](p)
		synctest.Wait()
		require.Empty(t, done, "only its own answer is its answer")
		p.send(&failureMsg{id})
		requireAnswer(t, <-done, false, "mine")
	})
}

func TestRequestWithoutReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		pending, err := c.SendRequest(t.Context(), "notice", false, nil)
		require.NoError(t, err)
		reply, err := pending.Wait(t.Context())
		require.NoError(t, err)
		require.Empty(t, reply)
		require.False(t, expect[globalRequestMsg](p).WantReply)
	})
}

func TestRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		for range 1024 {
			_, err := ch.SendRequest(t.Context(), "unanswered", true, nil)
			require.NoError(t, err)
			_, err = c.SendRequest(t.Context(), "unanswered", true, nil)
			require.NoError(t, err)
		}
		require.ErrorContains(t, ch.Request(t.Context(), "one more", nil), "1024 requests are unanswered")
		_, err := c.Request(t.Context(), "one more", nil)
		require.ErrorContains(t, err, "1024 requests are unanswered")
		p.send(&successMsg{id}, &requestSuccessMsg{})
		synctest.Wait()
		_, err = ch.SendRequest(t.Context(), "has room", true, nil)
		require.NoError(t, err)
		_, err = c.SendRequest(t.Context(), "has room", true, nil)
		require.NoError(t, err)
	})
}

func TestRequestsAndOpensOfOursAreNotLongerThanOpenSSHBears(t *testing.T) {
	c, _ := start(t, nil)
	const most = 255 << 10
	request := make([]byte, most-len(marshal(&globalRequestMsg{"x", false, nil}))+1)
	_, err := c.SendRequest(t.Context(), "x", false, request)
	require.ErrorContains(t, err, "request of 261121 bytes is longer than 261120")
	_, err = c.SendRequest(t.Context(), "x", false, request[1:])
	require.NoError(t, err)
	open := make([]byte, most-len(marshal(&openMsg{"x", 0, 0, 0, nil}))+1)
	_, err = c.OpenChannelEarly(t.Context(), "x", open, 0, nil)
	require.ErrorContains(t, err, "channel open of 261121 bytes is longer than 261120")
	_, err = c.OpenChannelEarly(t.Context(), "x", open[1:], 0, nil)
	require.NoError(t, err)
}

func TestRequestWaitsForRoomAsLongAsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		p.in.setLimit(1)
		var err error
		for sent := 0; err == nil; sent++ {
			require.Less(t, sent, 100)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err = c.SendRequest(ctx, "long", false, make([]byte, 100_000))
			cancel()
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		waiting := call(func() error {
			_, err := c.SendRequest(t.Context(), "waits", false, nil)
			return err
		})
		synctest.Wait()
		require.Empty(t, waiting)
		for m := expect[globalRequestMsg](p); m.Name != "waits"; m = expect[globalRequestMsg](p) {
		}
		require.NoError(t, <-waiting)
	})
}

func TestPeerRequestsAreAnsweredInOrderOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		var mu sync.Mutex
		var names []string
		h := func(_ context.Context, r *connection.Request) ([]byte, bool) {
			if !mu.TryLock() {
				return nil, false
			}
			defer mu.Unlock()
			time.Sleep(time.Second) // of the bubble
			names = append(names, r.Name+string(r.Payload))
			return []byte("reply to " + r.Name), r.Name != "bad"
		}
		_, id := p.open(c, h)
		p.send(&requestMsg{id, "good", true, []byte("!")}, &requestMsg{id, "silent", false, nil},
			&requestMsg{id, "bad", true, nil}, &requestMsg{id, "good", true, nil})
		expect[successMsg](p)
		expect[failureMsg](p)
		expect[successMsg](p)

		c.HandleRequest("good", h)
		c.HandleRequest("bad", h)
		p.send(&globalRequestMsg{"unknown", true, nil}, &globalRequestMsg{"good", true, nil},
			&globalRequestMsg{"unknown", false, nil}, &globalRequestMsg{"bad", true, nil})
		expect[requestFailureMsg](p)
		require.Equal(t, "reply to good", string(expect[requestSuccessMsg](p).Payload))
		require.Empty(t, expect[requestFailureMsg](p).Rest)
		synctest.Wait()
		p.quiet()
		require.Equal(t, []string{"good!", "silent", "bad", "good", "good", "bad"}, names)
	})
}

func TestNewestRequestHandlerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		says := func(s string) connection.RequestFunc {
			return func(context.Context, *connection.Request) ([]byte, bool) { return []byte(s), true }
		}
		ask := func() string {
			p.send(&globalRequestMsg{"x", true, nil})
			return string(expect[requestSuccessMsg](p).Payload)
		}
		c.HandleRequest("", says("any"))
		require.Equal(t, "any", ask())
		c.HandleRequest("x", says("old"))
		remove := c.HandleRequest("x", says("new"))
		require.Equal(t, "new", ask())
		remove()
		require.Equal(t, "old", ask())
	})
}

// C11: requests beyond the queue are refused, in order.
func TestRequestsBeyondTheQueueAreRefusedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		release := make(chan struct{})
		_, id := p.open(c, func(context.Context, *connection.Request) ([]byte, bool) {
			<-release
			return nil, true
		})
		const sent, handled = 100, 65 // a single request is with its handler
		for range sent {
			p.send(&requestMsg{id, "slow", true, nil})
			synctest.Wait()
		}
		close(release)
		for i := range sent {
			packet, err := p.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, i < handled, packet[0] == 99, "answer %d", i)
		}
		synctest.Wait()
		p.quiet()
	})
}

// C11 and P16: a peer that asks and does not read gets its answers later, in order.
func TestPeerThatAsksAndDoesNotReadIsAnsweredLaterAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		c.HandleRequest("known", func(context.Context, *connection.Request) ([]byte, bool) { return nil, true })
		_, id := p.open(c, nil)
		p.in.setLimit(100)
		before := goroutines()
		const asked = 100_000
		for range asked {
			p.send(&globalRequestMsg{"unknown", true, nil}, &requestMsg{id, "keepalive@openssh.com", true, nil})
		}
		p.send(&globalRequestMsg{"known", true, nil})
		synctest.Wait()
		require.Zero(t, p.out.length(), "the read loop does not wait for the peer to read")
		require.LessOrEqual(t, goroutines(), before+3, "two queues of requests and the write loop")

		answers := make(map[byte]int)
		for range 2*asked + 1 {
			packet, err := p.ReadPacket()
			require.NoError(t, err)
			answers[packet[0]]++
			if packet[0] == 81 {
				require.Equal(t, asked, answers[82], "the last request is answered last")
			}
		}
		require.Equal(t, map[byte]int{81: 1, 82: asked, 100: asked}, answers)
	})
}

func TestLargeRequestsOfThePeerAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		release := make(chan struct{})
		handled := 0
		_, id := p.open(c, func(context.Context, *connection.Request) ([]byte, bool) {
			<-release
			handled++
			return nil, true
		})
		for range 20 {
			p.send(&requestMsg{id, "huge", false, make([]byte, 100_000)})
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		require.LessOrEqual(t, handled, 4)
	})
}

// C14: an exit status is handled before Wait returns.
func TestExitStatusIsHandledBeforeWaitReturns(t *testing.T) {
	for name, end := range map[string]func(p *peer, id uint32){
		"channel closed":  func(p *peer, id uint32) { p.send(&eofMsg{id}, &closeMsg{id}) },
		"connection lost": func(p *peer, _ uint32) { _ = p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				var status []byte
				ch, id := p.open(c, func(_ context.Context, r *connection.Request) ([]byte, bool) {
					time.Sleep(time.Minute)
					if r.Name == "exit-status" {
						status = r.Payload
					}
					return nil, true
				})
				p.send(&requestMsg{id, "eow@openssh.com", false, nil}, &requestMsg{id, "exit-status", false, u32(3)})
				end(p, id)
				err := ch.Wait()
				require.Equal(t, u32(3), status)
				if name == "connection lost" {
					require.ErrorIs(t, err, net.ErrClosed)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}

func TestHandlersContextEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		_, id := p.open(c, nil)
		cause := make(chan error, 1)
		c.HandleRequest("x", func(ctx context.Context, _ *connection.Request) ([]byte, bool) {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return nil, true
		})
		p.send(&globalRequestMsg{"x", true, nil}, &dataMsg{id + 1, nil})
		require.ErrorAs(t, <-cause, new(*connection.ProtocolError))
	})
}

func TestCloseFromAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		c.HandleRequest("x", func(context.Context, *connection.Request) ([]byte, bool) { return nil, c.Close() == nil })
		p.send(&globalRequestMsg{"x", true, nil})
		require.NoError(t, c.Wait())
	})
}
