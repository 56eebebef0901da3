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
	return c.dispatchChannel(packet)
}

// dispatchChannel handles a message to a channel that is open. To be open means
// that the peer has confirmed it, or we have, and that not both sides have
// closed it. A message to any other number ends the connection, but for the two
// that OpenSSH's client forgives as well. After our own CLOSE messages are
// swallowed until the peer's.
func (c *Conn) dispatchChannel(packet []byte) error {
	number := packet[0]
	if number < msgWindowAdjust || number > msgChannelFailure {
		return protocolErrorf("unexpected message %d", number)
	}
	if len(packet) < 5 {
		return protocolErrorf("malformed message %d", number)
	}
	recipient, body := binary.BigEndian.Uint32(packet[1:]), packet[5:]
	ch := c.lookup(recipient)
	if ch == nil && c.wasOpen(recipient) && (number == msgChannelRequest || number == msgWindowAdjust) {
		// sshd with ClientAliveInterval sends keepalive@openssh.com about a
		// channel that it has closed, until it reads our CLOSE. There is no
		// channel left to answer on.
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
	case msgChannelEOF:
		ch.receiveEOF()
	case msgChannelClose:
		ch.handleClose()
	case msgChannelRequest:
		return ch.handleRequest(packet)
	case msgChannelSuccess, msgChannelFailure:
		c.out.receiveReply(&ch.replies, number == msgChannelSuccess, nil)
	}
	return nil
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
	c.ended(nil)
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
