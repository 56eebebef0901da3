package connection_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// openEarly opens a channel early, as number 0 at the peer, and returns our number.
func (p *peer) openEarly(c *connection.Conn, h connection.RequestFunc) (*connection.Channel, uint32) {
	p.t.Helper()
	ch, err := c.OpenChannelEarly(context.Background(), "session", nil, 0, h)
	require.NoError(p.t, err)
	return ch, expect[openMsg](p).Sender
}

func TestEarlyChannelIsUsedBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openEarly(c, nil)
		_, err := ch.SendRequest(t.Context(), "env", false, []byte("x"))
		require.NoError(t, err)
		exec, err := ch.SendRequest(t.Context(), "exec", true, nil)
		require.NoError(t, err)
		_, err = ch.Write([]byte("input"))
		require.NoError(t, err)
		require.NoError(t, ch.CloseWrite())

		require.Equal(t, requestMsg{0, "env", false, []byte("x")}, expect[requestMsg](p))
		require.Equal(t, requestMsg{0, "exec", true, []byte{}}, expect[requestMsg](p))
		require.Equal(t, dataMsg{0, []byte("input")}, expect[dataMsg](p))
		require.Equal(t, eofMsg{0}, expect[eofMsg](p))

		p.send(&confirmMsg{Recipient: id, Sender: 0, MaxPacket: peerMaxPacket}, &adjustMsg{id, peerWindow},
			&successMsg{id}, &dataMsg{id, []byte("output")}, &eofMsg{id}, &closeMsg{id})
		_, err = exec.Wait(t.Context())
		require.NoError(t, err)
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Equal(t, "output", string(got))
		require.NoError(t, ch.Wait())
		require.Equal(t, closeMsg{0}, expect[closeMsg](p))
	})
}

// Data sent before the confirmation is paid from later windows.
func TestEarlyDataIsChargedToTheWindow(t *testing.T) {
	const early = 16 << 10
	for name, test := range map[string]struct {
		write   int
		windows []uint32 // of the confirmation and the adjustments behind
		sent    []int    // in all, before the confirmation and after each
	}{
		"nothing sent early":         {0, []uint32{100}, []int{0, 0}},
		"window is larger":           {200, []uint32{300}, []int{200, 200}},
		"no window":                  {200, []uint32{0, 150, 50}, []int{200, 200, 200, 200}},
		"all that may be early":      {early, []uint32{0, early}, []int{early, early, early}},
		"more than may be early":     {early + 500, []uint32{early + 70}, []int{early, early + 70}},
		"more, and no window":        {early + 500, []uint32{0, early - 1, 3, 100}, []int{early, early, early, early + 2, early + 102}},
		"more, and a smaller window": {early + 500, []uint32{1000, early - 999}, []int{early, early, early + 1}},
		"the largest window":         {early + 500, []uint32{1<<32 - 1}, []int{early, early + 500}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.openEarly(c, nil)
				go func() { _, _ = ch.Write(make([]byte, test.write)) }()
				total := 0
				sent := func() int {
					synctest.Wait()
					for p.in.length() > 0 {
						total += len(expect[dataMsg](p).Data)
					}
					return total
				}
				require.Equal(t, test.sent[0], sent())
				for i, window := range test.windows {
					if i == 0 {
						p.send(&confirmMsg{Recipient: id, Window: window, MaxPacket: peerMaxPacket})
					} else {
						p.send(&adjustMsg{id, window})
					}
					require.Equal(t, test.sent[i+1], sent())
				}
			})
		})
	}
}

// An early window ends with the confirmation, used or not.
func TestEarlyWindowEndsWithTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openEarly(c, nil)
		_, err := ch.Write([]byte("early"))
		require.NoError(t, err)
		require.Equal(t, dataMsg{0, []byte("early")}, expect[dataMsg](p))
		p.send(&confirmMsg{Recipient: id, MaxPacket: 3})
		synctest.Wait()
		go func() { _, _ = ch.Write([]byte("later")) }()
		synctest.Wait()
		p.quiet()
		p.send(&adjustMsg{id, 9})
		require.Equal(t, dataMsg{0, []byte("lat")}, expect[dataMsg](p))
		require.Equal(t, dataMsg{0, []byte("e")}, expect[dataMsg](p))
	})
}

func TestWrongNumberOfAnEarlyChannelEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openEarly(c, nil)
		exec, err := ch.SendRequest(t.Context(), "exec", true, nil)
		require.NoError(t, err)
		p.send(&confirmMsg{Recipient: id, Sender: 1, Window: 1, MaxPacket: 1})
		var violation *connection.ProtocolError
		require.ErrorAs(t, c.Wait(), &violation)
		_, err = exec.Wait(t.Context())
		require.ErrorAs(t, err, &violation)
		_, err = ch.Read(make([]byte, 1))
		require.ErrorAs(t, err, &violation)
	})
}

func TestEarlyChannelRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openEarly(c, nil)
		ctx := context.Background()
		_, err := ch.Write(make([]byte, 16<<10))
		require.NoError(t, err)
		calls := map[string]func() error{
			"Read":        func() error { _, err := ch.Read(make([]byte, 1)); return err },
			"Stderr.Read": func() error { _, err := ch.Stderr().Read(make([]byte, 1)); return err },
			"WriteTo":     func() error { _, err := ch.WriteTo(io.Discard); return err },
			"Write":       func() error { _, err := ch.Write([]byte("x")); return err },
			"Request":     func() error { return ch.Request(ctx, "exec", nil) },
			"Wait":        ch.Wait,
		}
		waiting := make(map[string]<-chan error)
		for name, f := range calls {
			waiting[name] = call(f)
		}
		synctest.Wait()
		p.send(&openFailureMsg{Recipient: id, Reason: 1, Message: "no"})
		check := func(name string, err error) {
			var refused *connection.OpenError
			require.ErrorAs(t, err, &refused, name)
			require.Equal(t, connection.Prohibited, refused.Reason)
			require.ErrorIs(t, err, net.ErrClosed, name)
		}
		for name, done := range waiting {
			check(name, <-done)
		}
		for name, f := range calls {
			check(name+" afterwards", f())
		}
		check("CloseWrite", ch.CloseWrite())
		require.NoError(t, ch.Close())
		<-ch.Done()

		// Answers to early requests belong to nobody, least of all to the next channel.
		p.send(&failureMsg{id}, &successMsg{id})
		expect[dataMsg](p)
		expect[requestMsg](p)
		other, otherID := p.open(c, nil)
		answer := call(func() error { return other.Request(ctx, "exec", nil) })
		require.Equal(t, otherID+1000, expect[requestMsg](p).Recipient)
		p.send(&failureMsg{id})
		synctest.Wait()
		require.Empty(t, answer)
		p.send(&successMsg{otherID})
		require.NoError(t, <-answer)
	})
}

func TestEarlyChannelClosedBeforeTheAnswer(t *testing.T) {
	for name, answer := range map[string]func(id uint32) []any{
		"confirmed": func(id uint32) []any {
			return []any{&confirmMsg{Recipient: id, MaxPacket: 1}, &adjustMsg{id, 9}, &failureMsg{id}, &closeMsg{id}}
		},
		"refused": func(id uint32) []any { return []any{&openFailureMsg{Recipient: id, Reason: 4}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, &connection.Config{MaxChannels: 1})
				ch, id := p.openEarly(c, nil)
				request := call(func() error { return ch.Request(context.Background(), "exec", nil) })
				expect[requestMsg](p)
				require.NoError(t, ch.Close())
				require.Equal(t, closeMsg{0}, expect[closeMsg](p))
				require.ErrorIs(t, <-request, net.ErrClosed)
				synctest.Wait()
				p.send(answer(id)...)
				<-ch.Done()
				synctest.Wait()
				p.quiet()
				p.open(c, nil) // the slot is free again
			})
		})
	}
}

// The early use is ours alone: the peer may say no more than before.
func TestEarlyChannelIsNotOpenForThePeer(t *testing.T) {
	for name, lie := range map[string]func(id uint32) any{
		"data":    func(id uint32) any { return &dataMsg{id, []byte("x")} },
		"success": func(id uint32) any { return &successMsg{id} },
		"failure": func(id uint32) any { return &failureMsg{id} },
		"request": func(id uint32) any { return &requestMsg{id, "exit-status", false, u32(0)} },
		"adjust":  func(id uint32) any { return &adjustMsg{id, 1} },
		"CLOSE":   func(id uint32) any { return &closeMsg{id} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, nil)
				ch, id := p.openEarly(c, nil)
				p.send(lie(id))
				require.ErrorAs(t, c.Wait(), new(*connection.ProtocolError))
				_, err := ch.Read(make([]byte, 1))
				require.ErrorAs(t, err, new(*connection.ProtocolError))
			})
		})
	}
}

func TestEarlyChannelIsLostWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.openEarly(c, nil)
		p.out.fail(os.ErrPermission, nil)
		require.ErrorIs(t, ch.Wait(), os.ErrPermission)
		_, err := c.OpenChannelEarly(t.Context(), "session", nil, 0, nil)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
