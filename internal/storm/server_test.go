package storm_test

import (
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// stormy is a server that has new keys made after every packet that it sends,
// and does on every channel what cat and echo do. Its windows are as small as
// the client's, so that both wait for each other.
type stormy struct {
	*sshtest.Peer
	sent     int // packets that were not of a key exchange
	channels map[uint32]*stormyChannel
}

type stormyChannel struct {
	id, remote uint32
	window     int    // what the client may still get
	granted    int    // what it may still send
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

// say sends a packet, and then has new keys made.
func (s *stormy) say(message any) {
	s.Send(message)
	s.sent++
	s.Exchange()
}

func (s *stormy) handle(payload []byte) {
	var (
		global  sshtest.GlobalRequestMsg
		open    sshtest.ChannelOpenMsg
		request sshtest.ChannelRequestMsg
		adjust  sshtest.ChannelWindowAdjustMsg
		data    sshtest.ChannelDataMsg
		eof     sshtest.ChannelEOFMsg
		closed  sshtest.ChannelCloseMsg
	)
	switch {
	case ssh.Unmarshal(payload, &global) == nil:
		s.say(sshtest.RequestFailureMsg{})
	case ssh.Unmarshal(payload, &open) == nil:
		c := &stormyChannel{id: uint32(len(s.channels)), remote: open.Sender, window: int(open.Window), granted: window}
		s.channels[c.id] = c
		s.say(sshtest.ChannelOpenConfirmMsg{Recipient: c.remote, Sender: c.id, Window: window, MaxPacket: 32 << 10})
	case ssh.Unmarshal(payload, &request) == nil:
		c := s.channels[request.Recipient]
		c.started = request.Name == "exec"
		if string(request.Payload[4:]) == "echo hello" {
			c.waiting, c.eof = []byte("hello\n"), true
		}
		if request.WantReply {
			s.say(sshtest.ChannelSuccessMsg{Recipient: c.remote})
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

// move sends back what may be sent, gives window for it, and ends what is over.
func (s *stormy) move(c *stormyChannel) {
	if n := min(len(c.waiting), c.window); c.started && !c.done && n > 0 {
		data := c.waiting[:n]
		c.waiting, c.window, c.granted = c.waiting[n:], c.window-n, c.granted+n
		s.say(sshtest.ChannelDataMsg{Recipient: c.remote, Data: data})
		s.say(sshtest.ChannelWindowAdjustMsg{Recipient: c.remote, Bytes: uint32(n)})
	}
	if c.eof && len(c.waiting) == 0 && !c.done {
		s.say(sshtest.ChannelRequestMsg{Recipient: c.remote, Name: "exit-status", Payload: make([]byte, 4)})
		s.end(c)
	}
}

func (s *stormy) end(c *stormyChannel) {
	if !c.done {
		c.done = true
		s.say(sshtest.ChannelCloseMsg{Recipient: c.remote})
	}
}
