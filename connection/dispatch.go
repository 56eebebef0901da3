package connection

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

func (c *Conn) readLoop() {
	defer close(c.readDone)
	defer c.wakeReaders()
	if early := c.powers.early; early != nil {
		select {
		case <-early.Readable():
		case <-c.done:
			return
		}
	}
	c.startKeepAlive()
	var waits atomic.Int32 // within one ReadPacket
	if c.powers.notify != nil {
		c.powers.notify.NotifyWait(func() {
			c.wakeReaders()
			if waits.Add(1) > 1 { // during a key exchange, say, in which nothing can be asked
				c.hear()
			}
		})
	}
	for {
		waits.Store(0)
		packet, err := c.t.ReadPacket()
		if err != nil {
			c.end(transportError(err))
			return
		}
		c.hear()
		if err := c.dispatch(packet); err != nil {
			c.end(err)
			return
		}
	}
}

// wakeups are the streams whose readers are to be woken. The transport's notification
// may come on another goroutine than the read loop.
type wakeups struct {
	mu      sync.Mutex
	streams []*stream
}

// wake wakes the readers of a stream: at once, or, since waking costs about as much as
// decrypting a packet, when all packets that came together have been handled.
func (c *Conn) wake(s *stream) {
	if c.powers.notify == nil {
		s.ready.Broadcast()
		return
	}
	w := &c.wakeups
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.due {
		return
	}
	s.due = true
	w.streams = append(w.streams, s)
}

// wakeReaders is called before the transport or the read loop waits for anything, and at
// the end.
func (c *Conn) wakeReaders() {
	w := &c.wakeups
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.streams {
		s.due = false
		s.ready.Broadcast()
		w.streams[i] = nil
	}
	w.streams = w.streams[:0]
}

// dispatch handles a packet of the peer, and returns an error that ends the connection. The read
// loop calls dispatch, so dispatch neither writes nor waits.
func (c *Conn) dispatch(packet []byte) error {
	if len(packet) == 0 {
		return protocolErrorf("empty packet")
	}
	switch packet[0] {
	case msgGlobalRequest:
		return c.handleGlobalRequest(packet)
	case msgRequestSuccess, msgRequestFailure:
		c.out.receiveReply(&c.out.replies, packet[0] == msgRequestSuccess, packet[1:])
		return nil
	case msgChannelOpen:
		return c.handleOpen(packet)
	case msgChannelConfirmation:
		return c.handleConfirmation(packet)
	case msgChannelOpenFailure:
		return c.handleOpenFailure(packet)
	}
	switch number := packet[0]; {
	case number >= msgWindowAdjust && number <= msgChannelFailure:
		return c.dispatchChannel(packet)
	case number < msgGlobalRequest && number != msgUserAuthBanner:
		return protocolErrorf("message %d of another protocol layer", number)
	default:
		return c.unimplemented()
	}
}

// unimplemented passes over a message unknown to RFC 4254, or a late banner, and has the
// transport answer if possible.
func (c *Conn) unimplemented() error {
	if c.powers.unimplemented == nil {
		return nil
	}
	c.wakeReaders()
	if err := c.powers.unimplemented.Unimplemented(); err != nil {
		return transportError(err)
	}
	return nil
}

// dispatchChannel handles a message to a channel that is open: confirmed by the peer or by us,
// and not closed by both sides. A message to any other number ends the connection, except
// messages that OpenSSH's client forgives as well. After our own CLOSE, messages are swallowed
// until the peer's CLOSE.
func (c *Conn) dispatchChannel(packet []byte) error {
	number := packet[0]
	if len(packet) < 5 {
		return protocolErrorf("malformed message %d", number)
	}
	recipient, body := binary.BigEndian.Uint32(packet[1:]), packet[5:]
	ch := c.lookup(recipient)
	if ch == nil && forgiven(number) && c.wasOpen(recipient) {
		return nil
	}
	if ch == nil || !ch.confirmed {
		return protocolErrorf("message %d for channel %d, which is not open", number, recipient)
	}
	switch number {
	case msgWindowAdjust:
		if len(body) != 4 {
			return protocolErrorf("malformed message %d", number)
		}
		return ch.receiveAdjust(binary.BigEndian.Uint32(body))
	case msgChannelData, msgChannelExtendedData:
		return ch.handleData(number, body)
	case msgChannelRequest:
		return ch.handleRequest(packet)
	}
	if len(body) > 0 {
		return protocolErrorf("message %d with %d trailing bytes", number, len(body))
	}
	switch number {
	case msgChannelEOF:
		ch.receiveEOF()
	case msgChannelClose:
		ch.handleClose()
	case msgChannelSuccess, msgChannelFailure:
		c.out.receiveReply(&ch.replies, number == msgChannelSuccess, nil)
	}
	return nil
}

// forgiven reports whether a message may come late, for a channel that both sides have closed.
// sshd with ClientAliveInterval asks about a channel until sshd reads our CLOSE. A server that
// runs a command at once (as paramiko 2.12 does) may confirm the command only after CLOSE.
func forgiven(number byte) bool {
	switch number {
	case msgWindowAdjust, msgChannelRequest, msgChannelSuccess, msgChannelFailure:
		return true
	}
	return false
}

// wasOpen reports whether a number has been given to a channel.
func (c *Conn) wasOpen(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return id < c.nextID
}

// lookup returns the channel with our number id, or nil.
func (c *Conn) lookup(id uint32) *Channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.channels[id]
}

func (c *Conn) handleGlobalRequest(packet []byte) error {
	var m globalRequestMsg
	if err := unmarshal(packet, &m); err != nil {
		return err
	}
	c.requests.push(m.Name, m.WantReply, m.Payload, c.requestHandler(m.Name))
	return nil
}

// handleData takes ordinary and extended data. Extended data of a type other than 1 has no
// stream.
func (c *Channel) handleData(number byte, body []byte) error {
	s := &c.stdout
	if number == msgChannelExtendedData {
		if len(body) < 4 {
			return protocolErrorf("malformed message %d", number)
		}
		s = nil
		if binary.BigEndian.Uint32(body) == extendedStderr {
			s = &c.stderr.stream
		}
		body = body[4:]
	}
	data, rest, ok := parseString(body)
	if !ok || len(rest) > 0 {
		return protocolErrorf("malformed message %d", number)
	}
	return c.receive(s, data)
}

// handleClose answers the peer's CLOSE. Both sides have closed the channel then, and the channel
// is gone; data that has arrived can still be read.
func (c *Channel) handleClose() {
	c.sendClose(errPeerClosed)
	c.conn.remove(c)
	c.receiveEOF()
	var err error
	if c.hasLateData() {
		err = protocolErrorf("data for channel %d after its EOF", c.id)
	}
	c.ended(err)
}

func (c *Channel) handleRequest(packet []byte) error {
	var m channelRequestMsg
	if err := unmarshal(packet, &m); err != nil {
		return err
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if !closed {
		c.requests.push(m.Name, m.WantReply, m.Payload, c.requests.handler)
	}
	return nil
}
