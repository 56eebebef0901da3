package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// story is a server's record of a channel, with a command or without.
type story struct {
	stdout, stderr []byte   // before the end
	statuses       []uint32 // well-formed exit-status requests
	ended          bool     // by EOF or CLOSE
}

// stories has the stories of all channels by command. Channels whose command
// the server has not read yet have the empty name; a server may send output
// before.
type stories struct {
	mu   sync.Mutex
	told map[string][]*story
}

func (s *stories) begin() *story {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := new(story)
	s.told[""] = append(s.told[""], st)
	return st
}

func (s *stories) name(st *story, command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[""] = slices.DeleteFunc(s.told[""], func(other *story) bool { return other == st })
	s.told[command] = append(s.told[command], st)
}

// of returns the present stories of a command.
func (s *stories) of(command string) (told []*story) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.told[command] {
		now := *st
		told = append(told, &now)
	}
	return told
}

// tell changes stories.
func (s *stories) tell(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// A chaotic server mostly obeys, and does something else as well. All its
// decisions come from random.
type chaotic struct {
	*wire.Peer
	random   *rand.Rand
	stories  *stories
	lies     int // of 1000 deeds
	channels []*chaoticChannel
	forwards int // granted listeners
	opens    uint32
}

type chaoticChannel struct {
	number    uint32 // as told to the client
	recipient uint32 // the client's own
	window    int    // of the client
	story     *story // of the command, now or later
	closed    bool
}

// chance is true n times of 1000.
func (c *chaotic) chance(n int) bool { return c.random.IntN(1000) < n }

func (c *chaotic) run() {
	c.Noise = c.chance(200)
	c.Lax = c.chance(200)
	c.Login()
	for {
		c.handle(c.Receive())
		for range c.random.IntN(5) {
			c.act()
		}
		switch {
		case c.chance(c.lies / 10):
			return // hangs up
		case c.chance(c.lies / 20):
			c.Drain() // says nothing any more
			return
		}
	}
}

func (c *chaotic) handle(payload []byte) {
	var (
		global  wire.GlobalRequestMsg
		open    wire.ChannelOpenMsg
		request wire.ChannelRequestMsg
		adjust  wire.ChannelWindowAdjustMsg
		closed  wire.ChannelCloseMsg
		data    wire.ChannelDataMsg
	)
	if ssh.Unmarshal(payload, &request) == nil && request.Name == "exec" {
		if ch := c.channel(request.Recipient); ch != nil {
			c.stories.name(ch.story, string(request.Payload[4:]))
		}
	}
	if c.chance(c.lies) {
		return // the message is lost
	}
	switch {
	case ssh.Unmarshal(payload, &global) == nil:
		c.answerGlobal(&global)
	case ssh.Unmarshal(payload, &open) == nil:
		c.answerOpen(&open)
	case ssh.Unmarshal(payload, &request) == nil:
		c.answerRequest(&request)
	case ssh.Unmarshal(payload, &adjust) == nil:
		if ch := c.channel(adjust.Recipient); ch != nil {
			ch.window += int(adjust.Bytes)
		}
	case ssh.Unmarshal(payload, &data) == nil:
		if ch := c.channel(data.Recipient); ch != nil && !ch.closed {
			c.Send(wire.ChannelWindowAdjustMsg{Recipient: ch.recipient, Bytes: uint32(len(data.Data))})
		}
	case ssh.Unmarshal(payload, &closed) == nil:
		if ch := c.channel(closed.Recipient); ch != nil {
			c.close(ch)
		}
	}
}

// channel returns nil for an unknown number.
func (c *chaotic) channel(number uint32) *chaoticChannel {
	i := slices.IndexFunc(c.channels, func(ch *chaoticChannel) bool { return ch.number == number })
	if i < 0 {
		return nil
	}
	return c.channels[i]
}

func (c *chaotic) answerGlobal(m *wire.GlobalRequestMsg) {
	switch {
	case !m.WantReply:
	case m.Name == "tcpip-forward" && !c.chance(100):
		c.forwards++
		c.Send(wire.RequestSuccessMsg{Payload: []byte{0, 0, 0x1f, 0x90}})
	case c.chance(c.lies):
		c.Send(wire.RequestSuccessMsg{Payload: c.bytes(40)}, wire.RequestFailureMsg{})
	default:
		c.Send(wire.RequestFailureMsg{})
	}
}

func (c *chaotic) answerOpen(m *wire.ChannelOpenMsg) {
	number := uint32(len(c.channels))
	confirm := wire.ChannelOpenConfirmMsg{Recipient: m.Sender, Sender: number, Window: 1 << 20, MaxPacket: 32 << 10}
	switch {
	case c.chance(100):
		c.Send(wire.ChannelOpenFailureMsg{Recipient: m.Sender, Reason: uint32(c.random.IntN(6)), Message: "no"})
		c.channels = append(c.channels, &chaoticChannel{number: number, story: new(story), closed: true})
		return
	case c.chance(c.lies):
		confirm.Sender = c.random.Uint32()
		c.Send(confirm)
	case c.chance(c.lies):
		c.Send(confirm, confirm)
	case c.chance(c.lies):
		confirm.Window, confirm.MaxPacket = c.random.Uint32N(3), c.random.Uint32N(3)
		c.Send(confirm)
	default:
		if c.chance(500) {
			confirm.Window = 0 // as OpenSSH does
			c.Send(confirm, wire.ChannelWindowAdjustMsg{Recipient: m.Sender, Bytes: 1 << 20})
			break
		}
		c.Send(confirm)
	}
	c.channels = append(c.channels, &chaoticChannel{number: confirm.Sender, recipient: m.Sender, window: int(m.Window), story: c.stories.begin()})
}

func (c *chaotic) answerRequest(m *wire.ChannelRequestMsg) {
	ch := c.channel(m.Recipient)
	if ch == nil || ch.closed {
		return
	}
	switch {
	case !m.WantReply || c.chance(c.lies):
	case c.chance(50):
		c.Send(wire.ChannelFailureMsg{Recipient: ch.recipient})
	default:
		c.Send(wire.ChannelSuccessMsg{Recipient: ch.recipient})
	}
}

func (c *chaotic) close(ch *chaoticChannel) {
	if ch.closed {
		return
	}
	ch.closed = true
	c.stories.tell(func() { ch.story.ended = true })
	c.Send(wire.ChannelCloseMsg{Recipient: ch.recipient})
}

// bytes returns up to n bytes.
func (c *chaotic) bytes(n int) []byte { return c.fill(c.random.IntN(n)) }

func (c *chaotic) fill(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.random.Uint32())
	}
	return b
}

// act does something to a channel, or lies.
func (c *chaotic) act() {
	if c.chance(c.lies) {
		c.lie()
		return
	}
	if c.chance(20) {
		c.Exchange()
		return
	}
	if c.forwards > 0 && c.chance(30) {
		c.opens++
		c.Send(wire.ChannelOpenMsg{Type: "forwarded-tcpip", Sender: 1000 + c.opens, Window: 1000, MaxPacket: 1000, Payload: ssh.Marshal(struct {
			Host       string
			Port       uint32
			OriginHost string
			OriginPort uint32
		}{"127.0.0.1", 8080, "192.0.2.1", 1024})})
		return
	}
	open := slices.DeleteFunc(slices.Clone(c.channels), func(ch *chaoticChannel) bool { return ch.closed })
	if len(open) == 0 {
		return
	}
	ch := open[c.random.IntN(len(open))]
	switch n := c.random.IntN(100); {
	case n < 60:
		c.sendData(ch, min(c.random.IntN(3000), ch.window))
	case n < 75:
		c.sendStatus(ch)
	case n < 85:
		c.stories.tell(func() { ch.story.ended = true })
		c.Send(wire.ChannelEOFMsg{Recipient: ch.recipient})
	case n < 90:
		c.close(ch)
	}
}

// sendData sends data of a stream, and adds the data to the story unless the
// stream has ended.
func (c *chaotic) sendData(ch *chaoticChannel, n int) {
	data := c.fill(n)
	ch.window -= n
	stream, message := &ch.story.stdout, any(wire.ChannelDataMsg{Recipient: ch.recipient, Data: data})
	if c.chance(300) {
		stream, message = &ch.story.stderr, wire.ChannelExtendedDataMsg{Recipient: ch.recipient, Stream: 1, Data: data}
	}
	if !ch.story.ended {
		c.stories.tell(func() { *stream = append(*stream, data...) })
	}
	c.Send(message)
}

func (c *chaotic) sendStatus(ch *chaoticChannel) {
	status := uint32(c.random.IntN(2))
	c.stories.tell(func() { ch.story.statuses = append(ch.story.statuses, status) })
	c.Send(wire.ChannelRequestMsg{Recipient: ch.recipient, Name: "exit-status", Payload: []byte{0, 0, 0, byte(status)}})
}

// lie sends messages that no server should send. Data, status and end of a
// command are left to act, so that the story stays true.
func (c *chaotic) lie() {
	id := c.random.Uint32N(6)
	if c.chance(100) {
		id = c.random.Uint32()
	}
	switch c.random.IntN(22) {
	case 0:
		c.Send(c.message(byte(101 + c.random.IntN(27))))
	case 1:
		c.Send(c.message(byte(128 + c.random.IntN(128))))
	case 2:
		c.Send(c.message(byte(50 + c.random.IntN(31))))
	case 3:
		c.Send(c.message([]byte{1, 2, 3, 4, 5, 6, 7, 8, 80, 81, 82, 90, 91, 92, 93, 98, 99, 100}[c.random.IntN(18)]))
	case 4:
		c.Send(wire.ChannelWindowAdjustMsg{Recipient: id, Bytes: c.random.Uint32()})
	case 5:
		c.Send(wire.ChannelSuccessMsg{Recipient: id})
	case 6:
		c.Send(wire.ChannelFailureMsg{Recipient: id})
	case 7:
		c.Send(wire.RequestSuccessMsg{Payload: c.bytes(10)})
	case 8:
		c.Send(wire.RequestFailureMsg{})
	case 9:
		if len(c.channels) > 0 { // a channel before its confirmation would get a number unknown to the story
			id = c.channels[len(c.channels)-1].recipient
		}
		c.Send(wire.ChannelOpenConfirmMsg{Recipient: id, Sender: id, Window: 1, MaxPacket: 1})
	case 10:
		c.Send(wire.ChannelOpenFailureMsg{Recipient: id, Reason: 1})
	case 11:
		c.Send(wire.ChannelOpenMsg{Type: "x11", Sender: id, Window: id, MaxPacket: id})
	case 12:
		c.Send(wire.ChannelOpenMsg{Type: "forwarded-tcpip", Sender: id, Window: id, MaxPacket: id, Payload: c.bytes(50)})
	case 13:
		c.Send(wire.GlobalRequestMsg{Name: "hostkeys-00@openssh.com", WantReply: c.chance(500), Payload: c.bytes(100)})
	case 14:
		c.Send(wire.ChannelRequestMsg{Recipient: id, Name: "keepalive@openssh.com", WantReply: true})
	case 15:
		c.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, c.random.IntN(4))})
	case 16:
		c.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-signal", Payload: c.bytes(100)})
	case 17:
		c.Send(wire.ChannelExtendedDataMsg{Recipient: id, Stream: 2 + c.random.Uint32N(3), Data: c.bytes(1000)})
	case 18:
		c.Send(wire.PingMsg{Data: c.bytes(1000)})
	case 19:
		c.Send(wire.UnimplementedMsg{Sequence: c.random.Uint32N(20)})
	case 20:
		c.SendKexInit()
		c.Send(c.message(byte(80 + c.random.IntN(20))))
		c.Drain() // the client has to hang up
	case 21:
		if ch := c.channel(id); ch != nil {
			c.sendData(ch, 34000)
		}
	}
}

// message returns a message with the number and any content.
func (c *chaotic) message(number byte) []byte { return append([]byte{number}, c.bytes(60)...) }

func (s *story) String() string {
	return fmt.Sprintf("%d and %d bytes, statuses %v, ended: %t", len(s.stdout), len(s.stderr), s.statuses, s.ended)
}
