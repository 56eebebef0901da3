package nacre_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// holder keeps the end of a channel back until somebody has read the output.
type holder struct {
	*transport.Conn
	read    chan struct{}
	waiting func()
}

func (h *holder) NotifyWait(waiting func()) {
	h.waiting = waiting
	h.Conn.NotifyWait(waiting)
}

func (h *holder) ReadPacket() ([]byte, error) {
	p, err := h.Conn.ReadPacket()
	if err == nil && p[0] == 96 {
		h.waiting()
		<-h.read
	}
	return p, err
}

// A layer may wait in ReadPacket, if it says so before: the reader of earlier data is
// woken then.
func TestReaderIsWokenThoughALayerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Script: func(p *wire.Peer) {
			p.Login()
			id, _ := p.AcceptCommand()
			time.Sleep(time.Minute) // the reader waits
			p.SendRaw(append(p.Seal(ssh.Marshal(wire.ChannelDataMsg{Recipient: id, Data: []byte("hello")})), p.Seal(ssh.Marshal(wire.ChannelEOFMsg{Recipient: id}))...))
			p.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)})
			p.Send(wire.ChannelCloseMsg{Recipient: id})
			p.Drain()
		}})
		c := config(s)
		c.Dial = s.DialContext
		read := make(chan struct{})
		c.WrapTransport = func(t *transport.Conn) nacre.Transport { return &holder{Conn: t, read: read} }
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		cmd := client.Command(t.Context(), "x")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.ReadFull(out, make([]byte, 5)) // synctest reports a reader that is never woken
		require.NoError(t, err)
		close(read)
		require.NoError(t, cmd.Wait())
	})
}

// K21: a server begins a key exchange and reads nothing while we write.
func TestReexchangeWithAServerThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Script: func(p *wire.Peer) {
			p.Login()
			id := p.AcceptChannel().Sender
			p.Send(wire.ChannelWindowAdjustMsg{Recipient: id, Bytes: 1 << 30})
			time.Sleep(time.Second)
			p.SendKexInit()
			<-end
		}})
		c := config(s)
		c.Dial = s.DialContext
		c.Transport.HandshakeTimeout = time.Minute
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		session, err := client.Session(t.Context())
		require.NoError(t, err)
		go func() {
			for err := error(nil); err == nil; {
				_, err = session.Write(make([]byte, 1<<20))
			}
		}()
		require.ErrorAs(t, client.Wait(), new(*transport.BudgetError))
	})
}

// A handler that is nil handles nothing, and harms nobody.
func TestHandlersThatAreNil(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Script: func(p *wire.Peer) {
		p.Login()
		p.Send(wire.ChannelOpenMsg{Type: "x", Sender: 7, Window: 1, MaxPacket: 1})
		p.Receive(92)
		p.Send(wire.GlobalRequestMsg{Name: "x", WantReply: true})
		p.Receive(82)
		p.Send(wire.DisconnectMsg{Reason: 11})
	}})
	c := config(s)
	c.Dial = s.DialContext
	c.Connection.HandleOpen = map[string]connection.OpenFunc{"x": nil}
	c.Connection.HandleRequest = map[string]connection.RequestFunc{"x": nil}
	client, err := nacre.Dial(context.Background(), s.Target, c)
	require.NoError(t, err)
	defer client.Close()
	require.ErrorAs(t, client.Wait(), new(*transport.DisconnectError))
}
