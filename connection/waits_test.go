package connection_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/waittest"
)

// graceOfClose is the time in which Conn.Close tries to write the queued packets.
const graceOfClose = 50 * time.Millisecond

// waits are all calls of this package that can wait. See waittest.
var waits = waittest.Calls{
	"Conn.Wait": onConn(func(c *connection.Conn, _ context.Context) error { return c.Wait() }, func(b *waittest.Blocked) {
		b.Context = false
		b.Ends[0].Want = nil // the end was asked for
		b.Ends[1].Want = []error{os.ErrPermission}
		b.Ends = b.Ends[:2]
	}),
	"Conn.Flush":                       onFullConn(func(c *connection.Conn, ctx context.Context) error { return c.Flush(ctx) }),
	"Conn.OpenChannel, for the answer": onConn(openChannel, nil),
	"Conn.OpenChannel, for room":       onFullConn(openChannel),
	"Conn.OpenChannelEarly": onFullConn(func(c *connection.Conn, ctx context.Context) error {
		_, err := c.OpenChannelEarly(ctx, "x", nil, 7, nil)
		return err
	}),
	"Conn.Request, for the answer": onConn(request, nil),
	"Conn.Request, for room":       onFullConn(request),
	"Conn.SendRequest": onFullConn(func(c *connection.Conn, ctx context.Context) error {
		_, err := c.SendRequest(ctx, "x", true, nil)
		return err
	}),
	"Pending.Wait": onConn(func(c *connection.Conn, ctx context.Context) error {
		p, err := c.SendRequest(context.Background(), "x", true, nil)
		if err == nil {
			_, err = p.Wait(ctx)
		}
		return err
	}, nil),
	"Open.Accept": onOpen(func(o *connection.Open) error { _, err := o.Accept(nil); return err }),
	"Open.Reject": onOpen(func(o *connection.Open) error { return o.Reject(connection.Prohibited, "") }),

	"Channel.Read":    reads(func(ch *connection.Channel) error { _, err := ch.Read(make([]byte, 1)); return err }),
	"Channel.WriteTo": reads(func(ch *connection.Channel) error { _, err := ch.WriteTo(io.Discard); return err }),
	"Stderr.Read":     reads(func(ch *connection.Channel) error { _, err := ch.Stderr().Read(make([]byte, 1)); return err }),
	"Stderr.WriteTo":  reads(func(ch *connection.Channel) error { _, err := ch.Stderr().WriteTo(io.Discard); return err }),

	"Channel.Write, for window": writes(write, false),
	"Channel.Write, for room":   writes(write, true),
	"Channel.Write, for its turn": writes(func(ch *connection.Channel) error {
		go func() { _ = write(ch) }()
		return write(ch)
	}, false),
	"Stderr.Write":                 writes(func(ch *connection.Channel) error { _, err := ch.Stderr().Write([]byte("x")); return err }, false),
	"Channel.ReadFrom, for window": writes(readFrom, false),
	"Channel.ReadFrom, for room":   writes(readFrom, true),

	"Channel.Wait": onChannel(false, func(ch *connection.Channel, _ context.Context) error { return ch.Wait() }, func(b *waittest.Blocked) {
		b.Context = false
	}),
	"Channel.Request, for the answer": onChannel(false, channelRequest, nil),
	"Channel.Request, for room":       onChannel(true, channelRequest, nil),
	"Channel.SendRequest": onChannel(true, func(ch *connection.Channel, ctx context.Context) error {
		_, err := ch.SendRequest(ctx, "x", true, nil)
		return err
	}, nil),
}

// C21: a waiting call ends with whatever the call depends on.
func TestWaits(t *testing.T) { waittest.Run(t, waits) }

func openChannel(c *connection.Conn, ctx context.Context) error {
	_, err := c.OpenChannel(ctx, "x", nil, nil)
	return err
}

func request(c *connection.Conn, ctx context.Context) error {
	_, err := c.Request(ctx, "x", nil)
	return err
}

func channelRequest(ch *connection.Channel, ctx context.Context) error {
	return ch.Request(ctx, "x", nil)
}

func write(ch *connection.Channel) error {
	_, err := ch.Write([]byte("x"))
	return err
}

func readFrom(ch *connection.Channel) error {
	_, err := ch.ReadFrom(bytes.NewReader([]byte("x")))
	return err
}

// lose is the loss of the connection, for the same cause in both directions.
func (p *peer) lose() {
	p.out.fail(os.ErrPermission, nil)
	p.in.fail(nil, os.ErrPermission)
}

// endings are the events that end every call on a connection.
func (p *peer) endings(c *connection.Conn) []waittest.End {
	return []waittest.End{
		{Name: "Close", By: func() { c.Close() }, Want: []error{net.ErrClosed}, Within: graceOfClose},
		{Name: "loss of the connection", By: p.lose, Want: []error{os.ErrPermission, net.ErrClosed}},
		{Name: "lie of the peer", By: func() { p.send([]byte{200, 1}, &eofMsg{4711}) }, Want: []error{net.ErrClosed}},
	}
}

// onConn makes do wait for the peer.
func onConn(do func(c *connection.Conn, ctx context.Context) error, change func(b *waittest.Blocked)) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		b := waittest.Blocked{Context: true, Ends: p.endings(c), Do: func(ctx context.Context) error { return do(c, ctx) }}
		if change != nil {
			change(&b)
		}
		return b
	}
}

// onFullConn makes do wait for room among the packets to be sent.
func onFullConn(do func(c *connection.Conn, ctx context.Context) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		p.fill(c)
		return waittest.Blocked{Context: true, Ends: p.endings(c), Do: func(ctx context.Context) error { return do(c, ctx) }}
	}
}

// onOpen makes do answer an open while there is no room for the answer.
func onOpen(do func(o *connection.Open) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		opens, answered := make(chan *connection.Open, 1), make(chan struct{})
		t.Cleanup(func() { close(answered) })
		c.HandleOpen("x", func(_ context.Context, o *connection.Open) {
			opens <- o
			<-answered
		})
		p.send(&openMsg{"x", 1, peerWindow, peerMaxPacket, nil})
		o := <-opens
		p.fill(c)
		return waittest.Blocked{Ends: p.endings(c), Do: func(context.Context) error { return do(o) }}
	}
}

// onChannel makes do wait for the peer, or for room, on a channel.
func onChannel(
	full bool, do func(ch *connection.Channel, ctx context.Context) error, change func(b *waittest.Blocked),
) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		if full {
			p.fill(c)
		}
		b := waittest.Blocked{Context: true, Ends: p.endings(c), Do: func(ctx context.Context) error { return do(ch, ctx) }}
		b.Ends = append(b.Ends, waittest.End{Name: "Close of the channel", By: func() { ch.Close() }, Want: []error{net.ErrClosed}})
		if change == nil { // a call that waits for nothing else waits for the end
			b.Ends = append(b.Ends, waittest.End{Name: "CLOSE of the peer", By: func() { p.send(&closeMsg{id}) }, Want: []error{net.ErrClosed}})
		}
		if change != nil {
			change(&b)
		}
		return b
	}
}

// reads makes do wait for data.
func reads(do func(ch *connection.Channel) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		ch, _ := p.open(c, nil)
		closeRead := func() {
			ch.CloseRead()
			ch.Stderr().Close()
		}
		return waittest.Blocked{
			Do: func(context.Context) error { return do(ch) },
			Ends: append(p.endings(c),
				waittest.Deadline(ch.SetReadDeadline, os.ErrDeadlineExceeded),
				waittest.Deadline(ch.SetDeadline, os.ErrDeadlineExceeded),
				waittest.End{Name: "Close of the channel", By: func() { ch.Close() }, Want: []error{net.ErrClosed}},
				waittest.End{Name: "CloseRead", By: closeRead, Want: []error{net.ErrClosed}}),
		}
	}
}

// writes makes do wait for the peer's window, or for room.
func writes(do func(ch *connection.Channel) error, full bool) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t, nil)
		window := uint32(0)
		if full {
			window = peerWindow
		}
		ch, id := p.openWith(c, nil, window, peerMaxPacket)
		if full {
			p.fill(c)
		}
		return waittest.Blocked{
			Do: func(context.Context) error { return do(ch) },
			Ends: append(p.endings(c),
				waittest.Deadline(ch.SetWriteDeadline, os.ErrDeadlineExceeded),
				waittest.Deadline(ch.SetDeadline, os.ErrDeadlineExceeded),
				waittest.End{Name: "Close of the channel", By: func() { ch.Close() }, Want: []error{net.ErrClosed}},
				waittest.End{Name: "CloseWrite", By: func() { ch.CloseWrite() }, Want: []error{net.ErrClosed}},
				waittest.End{Name: "CLOSE of the peer", By: func() { p.send(&closeMsg{id}) }, Want: []error{net.ErrClosed}}),
		}
	}
}

// A running timer would hold its connection or channel.
func TestNothingHoldsAConnectionThatWasClosed(t *testing.T) {
	for name, end := range map[string]func(c *connection.Conn, p *peer){
		"Close":                  func(c *connection.Conn, _ *peer) { _ = c.Close() },
		"loss of the connection": func(_ *connection.Conn, p *peer) { p.lose() },
		"failure of a write": func(c *connection.Conn, p *peer) {
			p.in.fail(nil, os.ErrPermission)
			_, _ = c.SendRequest(context.Background(), "x", false, nil)
		},
	} {
		conn, ch := func() (weak.Pointer[connection.Conn], weak.Pointer[connection.Channel]) {
			ours, theirs := pipe()
			c := connection.New(ours, &connection.Config{KeepAliveInterval: time.Hour})
			p := &peer{t: t, end: theirs, ours: ours}
			ch, _ := p.open(c, nil)
			require.NoError(t, ch.SetDeadline(time.Now().Add(time.Hour)))
			end(c, p)
			<-c.Done()
			return weak.Make(c), weak.Make(ch)
		}()
		require.True(t, waittest.Collected(conn), name)
		require.True(t, waittest.Collected(ch), name)
	}
}

func TestNothingHoldsAChannelThatWasClosed(t *testing.T) {
	c, p := start(t, nil)
	ch := func() weak.Pointer[connection.Channel] {
		ch, id := p.open(c, nil)
		require.NoError(t, ch.SetDeadline(time.Now().Add(time.Hour)))
		require.NoError(t, ch.Close())
		p.send(&closeMsg{id})
		<-ch.Done()
		return weak.Make(ch)
	}()
	require.True(t, waittest.Collected(ch))
}
