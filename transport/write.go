package transport

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// writeHalf is the sending direction of a Conn. Everything in it but lock and failed
// belongs to the holder of lock. lock is a channel because it is held across I/O: the
// end of the connection unblocks whoever waits for it, and a test in a synctest
// bubble sees the wait.
type writeHalf struct {
	lock chan struct{} // holds one token
	packetio.Writer
	since time.Time // when the keys were made

	err     error                    // returned by every later call: the direction is poisoned
	failed  atomic.Pointer[endError] // err, unless the end of the connection is its cause; for callers without lock
	greeted bool                     // our version has been sent, so the peer expects packets

	// exchange is the key exchange under way: from our KEXINIT to our NEWKEYS
	// nothing of the layers above may be sent, RFC 4253 section 7.1. exchange is set
	// from the start, so that nothing is sent before the handshake either.
	exchange *outgoingExchange
}

// outgoingExchange is our half of the key exchange under way.
type outgoingExchange struct {
	init []byte        // payload of our KEXINIT; the exchange hash covers it
	over chan struct{} // closed once our NEWKEYS was sent
}

func (w *writeHalf) init(c net.Conn) {
	w.lock = make(chan struct{}, 1)
	w.lock <- struct{}{}
	w.Init(c)
	w.exchange = &outgoingExchange{over: make(chan struct{})}
}

// WritePacket sends a message of the layers above, 50 to 127. While keys are
// exchanged, the first keys included, WritePacket waits. The packet is not retained;
// only a packet in the memory of [Conn.PacketBuffer] is changed.
//
// WritePacket returns when the packet was handed to the connection below, where a
// write may block until the peer reads, or was added to an open batch. Close unblocks
// WritePacket. WritePacket may be called concurrently with every method.
func (c *Conn) WritePacket(packet []byte) error {
	if len(packet) == 0 || len(packet) > packetio.MaxPayload {
		return fmt.Errorf("transport: packet of %d bytes: a packet has 1 to %d", len(packet), packetio.MaxPayload)
	}
	if packet[0] < msgUpperFirst {
		return fmt.Errorf("transport: message %d belongs to the transport layer: packets of the layers above begin with %d or more", packet[0], msgUpperFirst)
	}
	return c.send(packet)
}

// send is WritePacket for messages of the transport too. The message goes into the
// open batch if there is a batch.
func (c *Conn) send(packet []byte) error {
	if joined, err := c.join(packet); joined {
		return err
	}
	if err := c.lockForData(); err != nil {
		return err
	}
	return c.unlockWriter(c.sendData(packet))
}

// sendData sends a packet, and starts a key exchange if the packet spends the key. The
// write lock is held, and no key exchange is under way.
func (c *Conn) sendData(packet []byte) error {
	c.startWaiting()
	defer c.stopWaiting()
	if !c.w.Fits(len(packet)) {
		if err := c.w.Flush(); err != nil {
			return err
		}
	}
	if err := c.w.Seal(packet); err != nil {
		return err
	}
	if c.due() {
		return c.startExchange()
	}
	return c.w.Flush()
}

// lockWriter waits for the write lock. After each success the caller calls
// unlockWriter.
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
		c.w.Borrow()
		return nil
	case <-c.done:
		return c.ended()
	}
}

// unlockWriter gives the lock back. An error poisons the direction: nobody knows how
// much of a packet the peer has got. Reading goes on, because a peer that takes no
// more may have left something to read. The caller returns unlockWriter's error: the
// first cause, if err is only its effect.
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
	c.w.GiveBack(err == nil)
	c.w.lock <- struct{}{}
	return err
}

// lockForData waits for the write lock at a moment when no key exchange is under way.
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

// sendNow sends a message of the transport itself, also while keys are exchanged.
func (c *Conn) sendNow(packet []byte) (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	if err := c.w.Seal(packet); err != nil {
		return err
	}
	return c.w.Flush()
}
