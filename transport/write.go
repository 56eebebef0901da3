package transport

import (
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writeHalf is the state of the sending direction. It belongs to the holder of
// lock, which is a channel because it is held across I/O: whoever waits for it
// is also unblocked by the end of the connection, and a test in a synctest
// bubble sees that it waits.
type writeHalf struct {
	lock   chan struct{} // holds one token
	conn   net.Conn
	cipher packetCipher
	seq    uint32
	usage  usage
	since  time.Time // when the keys were made
	buf    *[]byte   // of writeBuffers, while the lock is held: sealed packets
	left   *[]byte   // while it is not: what TryWritePackets could not send, or nil
	socket socketWriter

	// held are sealed packets that leave with the next ones, or when somebody
	// reads: see hold. holding tells without the lock that there are some.
	held    []byte
	holding atomic.Bool

	err     error                    // what every later call gets: the direction is poisoned
	failed  atomic.Pointer[endError] // err where the end of the connection was not its cause; for the reader
	greeted bool                     // our version has been sent, so the peer expects packets

	// exchange is the key exchange under way: from our KEXINIT to our NEWKEYS
	// nothing of the layers above may be sent, RFC 4253 section 7.1. It is set
	// from the start, so that nothing is sent before the handshake either.
	exchange *outgoingExchange
}

// outgoingExchange is our half of a key exchange that is under way.
type outgoingExchange struct {
	init []byte        // payload of our KEXINIT, which the exchange hash covers
	over chan struct{} // closed once our NEWKEYS was sent
}

// writeBuffers are lent to the connections that are writing, so that idle ones
// hold none.
var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, writeBuffer)
	return &b
}}

func (w *writeHalf) init(c net.Conn) {
	w.lock = make(chan struct{}, 1)
	w.lock <- struct{}{}
	w.conn = c
	w.socket.init(c)
	w.cipher = plainCipher{}
	w.exchange = &outgoingExchange{over: make(chan struct{})}
}

// WritePacket sends one message of the layers above, 50 to 127. While keys are
// exchanged, the first ones included, it waits. The packet is not retained.
//
// It returns when the packet was handed to the connection below, which may
// block until the peer reads. Close unblocks it. It may be called concurrently
// with every method.
func (c *Conn) WritePacket(packet []byte) error { return c.WritePackets(packet) }

// WritePackets sends several messages, in order and in as few writes to the
// connection below as it can. Otherwise it is WritePacket. With no packets it
// sends what [Conn.TryWritePackets] has left.
func (c *Conn) WritePackets(packets ...[]byte) error {
	for _, p := range packets {
		if err := checkPacket(p, len(p)); err != nil {
			return err
		}
	}
	if len(packets) == 0 {
		return c.sendHeld()
	}
	return c.write(packets)
}

// checkPacket checks a packet of so many bytes of the layers above by how it
// begins.
func checkPacket(begin []byte, size int) error {
	if len(begin) == 0 || size > maxPayload {
		return fmt.Errorf("transport: packet of %d bytes, must be 1 to %d", size, maxPayload)
	}
	if begin[0] < msgUpperFirst {
		return fmt.Errorf("transport: message %d belongs to the transport layer", begin[0])
	}
	return nil
}

// write sends packets as soon as no key exchange is under way.
func (c *Conn) write(packets [][]byte) error {
	for len(packets) > 0 {
		if err := c.lockForData(); err != nil {
			return err
		}
		n, err := c.sendData(packets)
		if err = c.unlockWriter(err); err != nil {
			return err
		}
		packets = packets[n:]
	}
	return nil
}

// sendData sends the packets up to the one that spends the key, after which it
// starts a key exchange. It returns how many that were. The write lock is held.
func (c *Conn) sendData(packets [][]byte) (n int, err error) {
	c.startWaiting()
	defer c.stopWaiting()
	for n < len(packets) {
		if err := c.w.seal(packets[n], nil); err != nil {
			return n, err
		}
		n++
		if c.due() {
			return n, c.startExchange()
		}
	}
	return n, c.w.flush()
}

// lockWriter waits for the write lock. Every lockWriter that succeeds is
// followed by an unlockWriter.
func (c *Conn) lockWriter() error {
	if err := c.alive(); err != nil {
		return err
	}
	select {
	case <-c.w.lock:
		if err := c.w.err; err != nil {
			c.w.lock <- struct{}{}
			return err
		}
		c.w.borrow()
		return nil
	case <-c.done:
		return c.ended()
	}
}

// unlockWriter gives the lock back. An error poisons the direction: nobody
// knows how much of a packet the peer has got. Reading goes on, because a peer
// that takes no more may have left something to read. It returns what the
// caller has to return: the first cause, if that error is only its effect.
func (c *Conn) unlockWriter(err error) error {
	if err != nil {
		if ended := c.alive(); ended != nil {
			err = ended
		} else {
			failed := &endError{cause: err}
			c.w.failed.CompareAndSwap(nil, failed)
			err = failed
		}
		if c.w.err == nil {
			c.w.err = err
		}
	}
	c.w.giveBack(err == nil)
	c.w.lock <- struct{}{}
	return err
}

// borrow takes a buffer, and what is left to be sent with it.
func (w *writeHalf) borrow() {
	if w.buf, w.left = w.left, nil; w.buf == nil {
		w.buf = writeBuffers.Get().(*[]byte)
	}
}

// giveBack returns the buffer, unless something is in it that shall leave yet.
func (w *writeHalf) giveBack(keep bool) {
	if keep && len(*w.buf) > 0 {
		w.left = w.buf
	} else {
		*w.buf = (*w.buf)[:0]
		writeBuffers.Put(w.buf)
	}
	w.buf = nil
}

// lockForData waits for the write lock at a moment when no key exchange is
// under way.
func (c *Conn) lockForData() error {
	for {
		if err := c.lockWriter(); err != nil {
			return err
		}
		x := c.w.exchange
		if x == nil {
			return nil
		}
		_ = c.unlockWriter(nil)
		select {
		case <-x.over:
		case <-c.done:
			return c.ended()
		}
	}
}

// sendNow sends a message of the transport itself, whatever is under way.
func (c *Conn) sendNow(packet []byte) (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	if err := c.w.seal(packet, nil); err != nil {
		return err
	}
	return c.w.flush()
}

// seal appends one packet, a header and data, to the buffer and encrypts it
// there. RFC 4253 section 6: padding makes it a multiple of the block size, and
// is random.
func (w *writeHalf) seal(header, data []byte) error {
	if w.usage.packets >= maxKeyPackets {
		return fmt.Errorf("transport: one key was used for 2^32 packets and the server gave no other")
	}
	w.takeHeld()
	length, padding := w.length(len(header) + len(data))
	size := 4 + int(length) + w.cipher.tag()
	if len(*w.buf) > 0 && len(*w.buf)+size > writeBuffer {
		if err := w.flush(); err != nil {
			return err
		}
	}
	buf := slices.Grow(*w.buf, size)
	frame := buf[len(buf) : len(buf)+size]
	frame[0], frame[1], frame[2], frame[3] = byte(length>>24), byte(length>>16), byte(length>>8), byte(length)
	frame[4] = byte(padding)
	copy(frame[5+copy(frame[5:], header):], data)
	rand.Read(frame[4+length-padding : 4+length]) // never fails
	w.cipher.seal(w.seq, frame)
	*w.buf = buf[:len(buf)+size]
	w.seq++
	w.usage.packets++
	w.usage.bytes += int64(size)
	return nil
}

// length returns the packet_length of a payload of so many bytes, and how much of
// it is padding.
func (w *writeHalf) length(payload int) (length, padding uint32) {
	block, counted := w.cipher.block()
	padding = block - (1+uint32(payload)+counted)%block
	if padding < minPadding {
		padding += block
	}
	return 1 + uint32(payload) + padding, padding
}

// hold keeps what is in the buffer for the next write. A service request and
// what follows it leave in one piece so: a server that gets several answers
// them one by one, and Nagle's algorithm, which sshd leaves on, has each answer
// wait for the one before to be acknowledged. What is held has to leave before
// anybody waits for an answer to it.
func (w *writeHalf) hold() {
	w.held = append(w.held, *w.buf...)
	*w.buf = (*w.buf)[:0]
	w.holding.Store(true)
}

// takeHeld moves what is held to the buffer.
func (w *writeHalf) takeHeld() {
	if len(w.held) > 0 {
		*w.buf = append(*w.buf, w.held...)
		w.held = nil
		w.holding.Store(false)
	}
}

// sendHeld has what is held leave now, and does what TryWritePackets has left to
// do.
func (c *Conn) sendHeld() (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	c.w.takeHeld()
	if c.w.exchange == nil && c.due() {
		return c.startExchange()
	}
	return c.w.flush()
}

// flush writes the buffer out.
func (w *writeHalf) flush() error {
	if len(*w.buf) == 0 {
		return nil // it has left meanwhile
	}
	_, err := w.conn.Write(*w.buf)
	*w.buf = (*w.buf)[:0]
	return noEOF(err)
}
