package storm_test

import (
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// stormy is a server that makes new keys after every packet of its own. On
// every channel the server runs cat or echo. The windows are as small as the
// client's, so that both sides wait for each other.
type stormy struct {
	*wire.Peer
	sent     int // packets outside of key exchanges
	channels map[uint32]*stormyChannel
}

type stormyChannel struct {
	id, remote uint32
	window     int    // of the client
	granted    int    // of the server
	waiting    []byte // to be sent back
	started    bool
	eof, done  bool // of the client; of the server
}

func (s *stormy) run() {
	for {
		payload := s.Receive()
		s.handle(payload)
		for _, c := range s.channels {
			s.move(c)
		}
	}
}

// say sends a packet, and then makes new keys.
func (s *stormy) say(message any) {
	s.Send(message)
	s.sent++
	s.Exchange()
}

func (s *stormy) handle(payload []byte) {
	var (
		global  wire.GlobalRequestMsg
		open    wire.ChannelOpenMsg
		request wire.ChannelRequestMsg
		adjust  wire.ChannelWindowAdjustMsg
		data    wire.ChannelDataMsg
		eof     wire.ChannelEOFMsg
		closed  wire.ChannelCloseMsg
	)
	switch {
	case ssh.Unmarshal(payload, &global) == nil:
		s.say(wire.RequestFailureMsg{})
	case ssh.Unmarshal(payload, &open) == nil:
		c := &stormyChannel{id: uint32(len(s.channels)), remote: open.Sender, window: int(open.Window), granted: window}
		s.channels[c.id] = c
		s.say(wire.ChannelOpenConfirmMsg{Recipient: c.remote, Sender: c.id, Window: window, MaxPacket: 32 << 10})
	case ssh.Unmarshal(payload, &request) == nil:
		c := s.channels[request.Recipient]
		c.started = request.Name == "exec"
		if string(request.Payload[4:]) == "echo hello" {
			c.waiting, c.eof = []byte("hello\n"), true
		}
		if request.WantReply {
			s.say(wire.ChannelSuccessMsg{Recipient: c.remote})
		}
	case ssh.Unmarshal(payload, &adjust) == nil:
		s.channels[adjust.Recipient].window += int(adjust.Bytes)
	case ssh.Unmarshal(payload, &data) == nil:
		c := s.channels[data.Recipient]
		if c.granted -= len(data.Data); c.granted < 0 {
			s.Fatalf("%d bytes more than the window", -c.granted)
		}
		c.waiting = append(c.waiting, data.Data...)
	case ssh.Unmarshal(payload, &eof) == nil:
		s.channels[eof.Recipient].eof = true
	case ssh.Unmarshal(payload, &closed) == nil:
		s.end(s.channels[closed.Recipient])
	default:
		s.Fatalf("message %d", payload[0])
	}
}

// move sends waiting data back within the window, grants window, and ends
// finished channels.
func (s *stormy) move(c *stormyChannel) {
	if n := min(len(c.waiting), c.window); c.started && !c.done && n > 0 {
		data := c.waiting[:n]
		c.waiting, c.window, c.granted = c.waiting[n:], c.window-n, c.granted+n
		s.say(wire.ChannelDataMsg{Recipient: c.remote, Data: data})
		s.say(wire.ChannelWindowAdjustMsg{Recipient: c.remote, Bytes: uint32(n)})
	}
	if c.eof && len(c.waiting) == 0 && !c.done {
		s.say(wire.ChannelRequestMsg{Recipient: c.remote, Name: "exit-status", Payload: make([]byte, 4)})
		s.end(c)
	}
}

func (s *stormy) end(c *stormyChannel) {
	if !c.done {
		c.done = true
		s.say(wire.ChannelCloseMsg{Recipient: c.remote})
	}
}
