package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// story is what a server has told of one channel, on which a command may run.
type story struct {
	stdout, stderr []byte   // before the end
	statuses       []uint32 // well-formed exit-status requests
	ended          bool     // by EOF or CLOSE
}

// stories has those of all channels, under the empty name those of channels whose
// command the server has not read: what it says of it may come before.
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

// of returns what was told of a command by now.
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

// A chaotic server does what it is asked to, mostly, and something else as well.
// Everything is drawn from random.
type chaotic struct {
	*sshtest.Peer
	random   *rand.Rand
	stories  *stories
	lies     int // of 1000 deeds
	channels []*chaoticChannel
	forwards int // listeners that were granted
	opens    uint32
}

type chaoticChannel struct {
	number    uint32 // that the client was told
	recipient uint32 // the client's own
	window    int    // what the client still takes
	story     *story // of the command that runs, or will
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
		global  sshtest.GlobalRequestMsg
		open    sshtest.ChannelOpenMsg
		request sshtest.ChannelRequestMsg
		adjust  sshtest.ChannelWindowAdjustMsg
		closed  sshtest.ChannelCloseMsg
		data    sshtest.ChannelDataMsg
	)
	if ssh.Unmarshal(payload, &request) == nil && request.Name == "exec" {
		if ch := c.channel(request.Recipient); ch != nil {
			c.stories.name(ch.story, string(request.Payload[4:]))
		}
	}
	if c.chance(c.lies) {
		return // as if it had not come
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
			c.Send(sshtest.ChannelWindowAdjustMsg{Recipient: ch.recipient, Bytes: uint32(len(data.Data))})
		}
	case ssh.Unmarshal(payload, &closed) == nil:
		if ch := c.channel(closed.Recipient); ch != nil {
			c.close(ch)
		}
	}
}

// channel returns nil for a number that no channel has.
func (c *chaotic) channel(number uint32) *chaoticChannel {
	i := slices.IndexFunc(c.channels, func(ch *chaoticChannel) bool { return ch.number == number })
	if i < 0 {
		return nil
	}
	return c.channels[i]
}

func (c *chaotic) answerGlobal(m *sshtest.GlobalRequestMsg) {
	switch {
	case !m.WantReply:
	case m.Name == "tcpip-forward" && !c.chance(100):
		c.forwards++
		c.Send(sshtest.RequestSuccessMsg{Payload: []byte{0, 0, 0x1f, 0x90}})
	case c.chance(c.lies):
		c.Send(sshtest.RequestSuccessMsg{Payload: c.bytes(40)}, sshtest.RequestFailureMsg{})
	default:
		c.Send(sshtest.RequestFailureMsg{})
	}
}

func (c *chaotic) answerOpen(m *sshtest.ChannelOpenMsg) {
	number := uint32(len(c.channels))
	confirm := sshtest.ChannelOpenConfirmMsg{Recipient: m.Sender, Sender: number, Window: 1 << 20, MaxPacket: 32 << 10}
	switch {
	case c.chance(100):
		c.Send(sshtest.ChannelOpenFailureMsg{Recipient: m.Sender, Reason: uint32(c.random.IntN(6)), Message: "no"})
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
			c.Send(confirm, sshtest.ChannelWindowAdjustMsg{Recipient: m.Sender, Bytes: 1 << 20})
			break
		}
		c.Send(confirm)
	}
	c.channels = append(c.channels, &chaoticChannel{number: confirm.Sender, recipient: m.Sender, window: int(m.Window), story: c.stories.begin()})
}

func (c *chaotic) answerRequest(m *sshtest.ChannelRequestMsg) {
	ch := c.channel(m.Recipient)
	if ch == nil || ch.closed {
		return
	}
	switch {
	case !m.WantReply || c.chance(c.lies):
	case c.chance(50):
		c.Send(sshtest.ChannelFailureMsg{Recipient: ch.recipient})
	default:
		c.Send(sshtest.ChannelSuccessMsg{Recipient: ch.recipient})
	}
}

func (c *chaotic) close(ch *chaoticChannel) {
	if ch.closed {
		return
	}
	ch.closed = true
	c.stories.tell(func() { ch.story.ended = true })
	c.Send(sshtest.ChannelCloseMsg{Recipient: ch.recipient})
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
		c.Send(sshtest.ChannelOpenMsg{Type: "forwarded-tcpip", Sender: 1000 + c.opens, Window: 1000, MaxPacket: 1000, Payload: ssh.Marshal(struct {
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
		c.Send(sshtest.ChannelEOFMsg{Recipient: ch.recipient})
	case n < 90:
		c.close(ch)
	}
}

// sendData sends data of one stream or the other, and counts them unless they
// come too late.
func (c *chaotic) sendData(ch *chaoticChannel, n int) {
	data := c.fill(n)
	ch.window -= n
	stream, message := &ch.story.stdout, any(sshtest.ChannelDataMsg{Recipient: ch.recipient, Data: data})
	if c.chance(300) {
		stream, message = &ch.story.stderr, sshtest.ChannelExtendedDataMsg{Recipient: ch.recipient, Stream: 1, Data: data}
	}
	if !ch.story.ended {
		c.stories.tell(func() { *stream = append(*stream, data...) })
	}
	c.Send(message)
}

func (c *chaotic) sendStatus(ch *chaoticChannel) {
	status := uint32(c.random.IntN(2))
	c.stories.tell(func() { ch.story.statuses = append(ch.story.statuses, status) })
	c.Send(sshtest.ChannelRequestMsg{Recipient: ch.recipient, Name: "exit-status", Payload: []byte{0, 0, 0, byte(status)}})
}

// lie sends what nobody should. What could be taken for the data, the status or
// the end of a command is sent by act.
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
		c.Send(sshtest.ChannelWindowAdjustMsg{Recipient: id, Bytes: c.random.Uint32()})
	case 5:
		c.Send(sshtest.ChannelSuccessMsg{Recipient: id})
	case 6:
		c.Send(sshtest.ChannelFailureMsg{Recipient: id})
	case 7:
		c.Send(sshtest.RequestSuccessMsg{Payload: c.bytes(10)})
	case 8:
		c.Send(sshtest.RequestFailureMsg{})
	case 9:
		if len(c.channels) > 0 { // one that is being opened would get a number of which we know nothing
			id = c.channels[len(c.channels)-1].recipient
		}
		c.Send(sshtest.ChannelOpenConfirmMsg{Recipient: id, Sender: id, Window: 1, MaxPacket: 1})
	case 10:
		c.Send(sshtest.ChannelOpenFailureMsg{Recipient: id, Reason: 1})
	case 11:
		c.Send(sshtest.ChannelOpenMsg{Type: "x11", Sender: id, Window: id, MaxPacket: id})
	case 12:
		c.Send(sshtest.ChannelOpenMsg{Type: "forwarded-tcpip", Sender: id, Window: id, MaxPacket: id, Payload: c.bytes(50)})
	case 13:
		c.Send(sshtest.GlobalRequestMsg{Name: "hostkeys-00@openssh.com", WantReply: c.chance(500), Payload: c.bytes(100)})
	case 14:
		c.Send(sshtest.ChannelRequestMsg{Recipient: id, Name: "keepalive@openssh.com", WantReply: true})
	case 15:
		c.Send(sshtest.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, c.random.IntN(4))})
	case 16:
		c.Send(sshtest.ChannelRequestMsg{Recipient: id, Name: "exit-signal", Payload: c.bytes(100)})
	case 17:
		c.Send(sshtest.ChannelExtendedDataMsg{Recipient: id, Stream: 2 + c.random.Uint32N(3), Data: c.bytes(1000)})
	case 18:
		c.Send(sshtest.PingMsg{Data: c.bytes(1000)})
	case 19:
		c.Send(sshtest.UnimplementedMsg{Sequence: c.random.Uint32N(20)})
	case 20:
		c.SendKexInit()
		c.Send(c.message(byte(80 + c.random.IntN(20))))
		c.Drain() // the client must not have borne that
	case 21:
		if ch := c.channel(id); ch != nil {
			c.sendData(ch, 34000)
		}
	}
}

// message returns one with a number and anything behind it.
func (c *chaotic) message(number byte) []byte { return append([]byte{number}, c.bytes(60)...) }

func (s *story) String() string {
	return fmt.Sprintf("%d and %d bytes, statuses %v, ended: %t", len(s.stdout), len(s.stderr), s.statuses, s.ended)
}
