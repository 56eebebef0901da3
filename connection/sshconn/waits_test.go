package sshconn_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/sshconn"
	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// waits are all calls of this package that can wait. See waittest. The errors are those that
// the users of x/crypto/ssh expect; none of these calls takes a context.
var waits = waittest.Calls{
	"conn.Wait": func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		return s.blocked(false, s.Wait)
	},
	"conn.OpenChannel": func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		return s.blocked(false, func() error { _, _, err := s.OpenChannel("x", nil); return err })
	},
	"conn.SendRequest": func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		return s.blocked(true, func() error { _, _, err := s.SendRequest("x", true, nil); return err })
	},
	"conn.SendRequest, for room": func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		s.fill()
		return s.blocked(true, func() error { _, _, err := s.SendRequest("x", false, nil); return err })
	},
	"channel.Read":        onChannel(func(ch ssh.Channel) error { _, err := ch.Read(make([]byte, 1)); return err }, false),
	"stderr.Read":         onChannel(func(ch ssh.Channel) error { _, err := ch.Stderr().Read(make([]byte, 1)); return err }, false),
	"channel.Write":       onChannel(func(ch ssh.Channel) error { _, err := ch.Write([]byte("x")); return err }, true),
	"stderr.Write":        onChannel(func(ch ssh.Channel) error { _, err := ch.Stderr().Write([]byte("x")); return err }, true),
	"channel.SendRequest": onChannel(func(ch ssh.Channel) error { _, err := ch.SendRequest("x", true, nil); return err }, true),
	"incoming.Accept":     onIncoming(func(n ssh.NewChannel) error { _, _, err := n.Accept(); return err }),
	"incoming.Reject":     onIncoming(func(n ssh.NewChannel) error { return n.Reject(ssh.Prohibited, "") }),
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// silent is a connection whose peer is the test's, and silent on its own.
type silent struct {
	ssh.Conn
	t        *testing.T
	native   *connection.Conn
	channels <-chan ssh.NewChannel
	in, out  chan []byte
	ended    chan struct{}
	cut      func() // the loss of the connection
}

func newSilent(t *testing.T) *silent {
	s := &silent{t: t, in: make(chan []byte), out: make(chan []byte), ended: make(chan struct{})}
	s.cut = sync.OnceFunc(func() { close(s.ended) })
	s.native = connection.New(reset{packets{s.in, s.out, s.ended, s.cut}}, nil)
	s.Conn, s.channels, _ = sshconn.New(s.native, nil, "gopher")
	go func() { // takes packets until fill
		for packet := range s.out {
			if packet == nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.native.Close()
		close(s.out)
	})
	return s
}

// reset gives the loss of a connection a cause.
type reset struct{ packets }

func (r reset) ReadPacket() ([]byte, error) {
	packet, err := r.packets.ReadPacket()
	if err != nil {
		err = os.ErrPermission
	}
	return packet, err
}

func (r reset) WritePacket(packet []byte) error {
	if r.packets.WritePacket(packet) != nil {
		return os.ErrPermission
	}
	return nil
}

// fill stops reading, and queues requests until there is room for no more.
func (s *silent) fill() {
	s.t.Helper()
	s.out <- nil
	for range 5 {
		_, err := s.native.SendRequest(s.t.Context(), "x", false, make([]byte, 100<<10))
		require.NoError(s.t, err)
		synctest.Wait()
	}
}

// blocked makes do wait for the peer. Errors other than Wait's are io.EOF where x/crypto's are.
func (s *silent) blocked(eof bool, do func() error) waittest.Blocked {
	closed, lost := []error{net.ErrClosed}, []error{os.ErrPermission}
	if eof {
		closed, lost = []error{io.EOF}, []error{io.EOF}
	}
	return waittest.Blocked{Do: func(context.Context) error { return do() }, Ends: []waittest.End{
		{Name: "Close", By: func() { s.Close() }, Want: closed, Within: 50 * time.Millisecond},
		{Name: "loss of the connection", By: s.cut, Want: lost},
	}}
}

func onChannel(do func(ch ssh.Channel) error, eof bool) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		opened := make(chan ssh.Channel, 1)
		go func() {
			ch, _, err := s.OpenChannel("x", nil)
			if err == nil {
				opened <- ch
			}
		}()
		synctest.Wait()
		s.in <- ssh.Marshal(wire.ChannelOpenConfirmMsg{Sender: 7, MaxPacket: 32 << 10})
		ch := <-opened
		b := s.blocked(eof, func() error { return do(ch) })
		b.Ends = append(b.Ends, waittest.End{Name: "Close of the channel", By: func() { ch.Close() }, Want: []error{io.EOF}})
		return b
	}
}

func onIncoming(do func(n ssh.NewChannel) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		s := newSilent(t)
		s.in <- ssh.Marshal(wire.ChannelOpenMsg{Type: "x", Sender: 7, MaxPacket: 32 << 10})
		incoming := <-s.channels
		s.fill()
		return s.blocked(false, func() error { return do(incoming) })
	}
}
