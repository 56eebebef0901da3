package transport

import (
	"net"

	"golang.org/x/crypto/ssh"
)

// readHalf is the state of the receiving direction. It belongs to the holder
// of lock.
type readHalf struct {
	lock chan struct{} // holds one token
	receiveBuffer
	cipher packetCipher
	seq    uint32
	max    uint32 // largest packet_length accepted

	usage      usage // of the key
	total      usage // of the connection
	rekeyAsked bool  // the limit has passed and Rekey was called; once for each key

	postponed packetQueue
	failure   error // to be returned behind them

	keyed    bool // the first key exchange is done
	extInfos int  // SSH_MSG_EXT_INFO seen
}

func (r *readHalf) init(c net.Conn, maxPacket int) {
	r.lock = make(chan struct{}, 1)
	r.lock <- struct{}{}
	r.receiveBuffer.init(c)
	r.cipher = plainCipher{}
	r.max = uint32(maxPacket)
}

// next returns the payload of the next packet, at least one byte long and
// valid until the next call. Lengths are checked before they are used.
func (r *readHalf) next() ([]byte, error) {
	prefix, err := r.peek(r.cipher.prefix())
	if err != nil {
		return nil, err
	}
	length := r.cipher.length(r.seq, prefix)
	if length < minLength || length > r.max {
		return nil, protocolErrorf("packet_length %d is not between %d and %d", length, minLength, r.max)
	}
	if block, counted := r.cipher.block(); (length+counted)%block != 0 {
		return nil, protocolErrorf("packet_length %d is not a multiple of the block size", length)
	}
	frame, err := r.peek(4 + int(length) + r.cipher.tag())
	if err != nil {
		return nil, err
	}
	if r.usage.packets >= maxKeyPackets {
		return nil, protocolErrorf("the server used one key for more than 2^32 packets")
	}
	if err := r.cipher.open(r.seq, frame); err != nil {
		return nil, err
	}
	r.start += len(frame)
	r.seq++
	r.usage.packets++
	r.usage.bytes += int64(len(frame))
	r.total.packets++
	r.total.bytes += int64(len(frame))
	padding := uint32(frame[4])
	if padding < minPadding || padding+2 > length {
		return nil, protocolErrorf("padding_length %d in a packet of %d bytes", padding, length)
	}
	end := 4 + length - padding
	return frame[5:end:end], nil // an append must not touch the next packet
}

// ReadPacket returns the next message of the layers above, 50 to 127. The
// slice is valid until the next call. Messages of the transport are dealt with
// on the way, and a key exchange that the server asks for is done within.
//
// It blocks until a packet comes or the connection ends, which Close can
// bring about. Concurrent callers take turns.
func (c *Conn) ReadPacket() ([]byte, error) { return c.ReadPacketNotify(nil) }

// ReadPacketNotify is ReadPacket, but that it calls waiting each time before it
// reads from the connection below, and before anything else that may take long.
// So a reader who wakes other goroutines can do that once for all the packets
// which have come together, some 256 KiB at the most. The function must return
// soon, and not call ReadPacket; it may be called several times or not at all.
func (c *Conn) ReadPacketNotify(waiting func()) ([]byte, error) {
	if err := c.startReading(waiting); err != nil {
		return nil, err
	}
	defer c.stopReading()
	for {
		if p, seq, ok := c.r.postponed.pop(); ok {
			c.delivered.Store(seq)
			return p, nil
		}
		if err := c.r.failure; err != nil {
			return nil, c.reject(err)
		}
		p, err := c.next()
		if err == nil {
			var mine bool
			if mine, err = c.dispatch(p); err == nil && !mine {
				c.delivered.Store(c.r.seq - 1)
				return p, nil
			}
		}
		c.r.failure = err
	}
}

// startReading takes the read lock, and sends what somebody who reads will be
// waiting for an answer to.
func (c *Conn) startReading(waiting func()) error {
	select {
	case <-c.r.lock:
	case <-c.done:
		return c.ended()
	}
	c.r.waiting = waiting
	c.startWaiting()
	err := c.alive() // both were ready
	if err == nil && !c.r.keyed {
		err = errNoHandshake
	}
	if err == nil && c.w.holding.Load() {
		c.r.notify()
		_ = c.sendHeld() // whatever becomes of it, what the server has left is read
		err = c.alive()
	}
	if err != nil {
		c.stopReading()
	}
	return err
}

func (c *Conn) stopReading() {
	c.stopWaiting()
	c.r.waiting = nil
	c.r.lock <- struct{}{}
}

// Unimplemented tells the server that nobody knows the message which
// ReadPacket has returned last, as RFC 4253 section 11.4 demands. The caller of
// ReadPacket calls it, before the next one.
func (c *Conn) Unimplemented() error {
	if err := c.alive(); err != nil {
		return err
	}
	if err := c.owe(ssh.Marshal(&unimplementedMsg{Seq: c.delivered.Load()})); err != nil {
		return c.reject(err)
	}
	return nil
}

// dispatch deals with a packet outside a key exchange, and tells whether it
// was the transport's. The message number is the layer.
func (c *Conn) dispatch(p []byte) (mine bool, err error) {
	n := p[0]
	if n < msgUpperFirst || n > msgUpperLast {
		c.r.notify() // the answer may have to wait for room
	}
	if n != msgKexInit {
		c.checkReadUsage()
	}
	switch n {
	case msgDisconnect:
		return true, parseDisconnect(p)
	case msgIgnore, msgDebug, msgUnimplemented, msgPong:
		// What the server leaves unimplemented is a request of the layers
		// above, and those count the replies that they get.
		return true, nil
	}
	if c.r.extInfos > 1 && !c.authed.Load() && n != msgAuthSuccess {
		// RFC 8308 section 2.4: the second one stands right before the success.
		return true, protocolErrorf("message %d between the second EXT_INFO and the success of authentication", n)
	}
	switch {
	case n >= msgUpperFirst && n <= msgUpperLast:
		return false, c.checkUpper(n)
	case n == msgKexInit:
		return true, c.reexchange(p)
	case n == msgExtInfo:
		return true, c.handleExtInfo(p)
	case n == msgServiceAccept:
		return true, c.handleServiceAccept(p)
	case n == msgPing:
		return true, c.handlePing(p)
	case n >= msgNewKeys && n <= msgKexLast:
		return true, protocolErrorf("message %d outside a key exchange", n)
	default:
		return true, c.owe(ssh.Marshal(&unimplementedMsg{Seq: c.r.seq - 1}))
	}
}

// checkUpper refuses messages of the layers above while the service that they
// would belong to is not accepted.
func (c *Conn) checkUpper(n byte) error {
	if n == msgAuthSuccess {
		c.authed.Store(true)
		c.login.close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service != "" {
		return protocolErrorf("message %d before the service %q was accepted", n, c.service)
	}
	return nil
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
