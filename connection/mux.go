package connection

import (
	"encoding/binary"
)

// dispatch handles one packet of the peer. It runs on the read loop, so it
// neither writes nor waits. An error ends the connection.
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
		return protocolErrorf("message %d, which does not belong to this protocol", number)
	default:
		return c.unimplemented()
	}
}

// unimplemented passes over a message that no part of RFC 4254 knows, or a
// banner that comes late. The transport says so to the peer, if it can.
func (c *Conn) unimplemented() error {
	t, ok := c.t.(interface{ Unimplemented() error })
	if !ok {
		return nil
	}
	c.wakeReaders()
	if err := t.Unimplemented(); err != nil {
		return transportError(err)
	}
	return nil
}

// dispatchChannel handles a message to a channel that is open. To be open means
// that the peer has confirmed it, or we have, and that not both sides have
// closed it. A message to any other number ends the connection, but for those
// that OpenSSH's client forgives as well. After our own CLOSE messages are
// swallowed until the peer's.
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
		return protocolErrorf("message %d with %d bytes too many", number, len(body))
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

// forgiven tells whether a message may come late, for a channel that both sides
// have closed. sshd with ClientAliveInterval asks about a channel until it reads
// our CLOSE. A server that runs a command at once (paramiko 2.12's does) may
// say only after its CLOSE that it has.
func forgiven(number byte) bool {
	switch number {
	case msgWindowAdjust, msgChannelRequest, msgChannelSuccess, msgChannelFailure:
		return true
	}
	return false
}

// wasOpen tells whether a number has been given to a channel.
func (c *Conn) wasOpen(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return id < c.nextID
}

// lookup returns nil for a number that no channel has.
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

// handleData takes ordinary and extended data. Extended data of a type other
// than 1 has no stream.
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

// handleClose answers the peer's CLOSE. With that both sides have sent theirs
// and the channel is gone; what has arrived can still be read.
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
