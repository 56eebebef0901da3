package connection_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// A peer that sends an open and a request before the connection starts meets the
// handlers of the Config, and each handler can use its connection.
func TestHandlersOfTheConfigMeetTheFirstPacket(t *testing.T) {
	for range 200 {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		conns := make(chan *connection.Conn, 4)
		grant := func(_ context.Context, r *connection.Request) ([]byte, bool) {
			conns <- r.Conn()
			return nil, true
		}
		accept := func(ctx context.Context, o *connection.Open) {
			conns <- o.Conn()
			_, err := o.Accept(grant)
			require.NoError(t, err)
			_, err = o.Conn().SendRequest(ctx, o.Type(), false, nil)
			require.NoError(t, err)
		}
		config := &connection.Config{
			HandleOpen:    map[string]connection.OpenFunc{"x": accept, "": accept},
			HandleRequest: map[string]connection.RequestFunc{"y": grant},
		}
		p.send(&openMsg{"x", 7, peerWindow, peerMaxPacket, nil})
		c := connection.New(ours, config)
		id := expect[confirmMsg](p).Sender
		require.Equal(t, "x", expect[globalRequestMsg](p).Name)
		p.send(&requestMsg{id, "z", true, nil}, &globalRequestMsg{"y", true, nil})
		p.expectBoth(99, 81)
		p.send(&openMsg{"other", 8, peerWindow, peerMaxPacket, nil})
		expect[confirmMsg](p)
		require.Equal(t, "other", expect[globalRequestMsg](p).Name)
		for range cap(conns) {
			require.Same(t, c, <-conns)
		}
		require.NoError(t, c.Close())
	}
}

// expectBoth reads two packets, in either order.
func (p *peer) expectBoth(a, b byte) {
	p.t.Helper()
	var got []byte
	for range 2 {
		packet, err := p.ReadPacket()
		require.NoError(p.t, err)
		got = append(got, packet[0])
	}
	require.ElementsMatch(p.t, []byte{a, b}, got)
}

// Handlers that are added later come before those of the Config.
func TestLaterHandlersComeBeforeThoseOfTheConfig(t *testing.T) {
	asked := make(chan string, 2)
	note := func(name string) connection.RequestFunc {
		return func(context.Context, *connection.Request) ([]byte, bool) {
			asked <- name
			return nil, true
		}
	}
	c, p := start(t, &connection.Config{HandleRequest: map[string]connection.RequestFunc{"x": note("config")}})
	remove := c.HandleRequest("x", note("later"))
	p.send(&globalRequestMsg{"x", true, nil})
	expect[requestSuccessMsg](p)
	remove()
	p.send(&globalRequestMsg{"x", true, nil})
	expect[requestSuccessMsg](p)
	require.Equal(t, []string{"later", "config"}, []string{<-asked, <-asked})
}
