package transport

import (
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// readHalf is the receiving direction of a Conn. Everything in it but lock belongs
// to the holder of lock.
type readHalf struct {
	lock chan struct{} // holds one token
	packetio.Reader

	rekeyAsked bool // the limit has passed and Rekey was called; once for each key

	postponed packetQueue
	failure   error // to be returned behind the postponed packets

	keyed    bool // the first key exchange is done
	extInfos int  // SSH_MSG_EXT_INFO seen
}

func (r *readHalf) init(c net.Conn, maxPacket int) {
	r.lock = make(chan struct{}, 1)
	r.lock <- struct{}{}
	r.Init(c, maxPacket)
}

// ReadPacket returns the next message of the layers above, 50 to 127. The slice is
// valid until the next call. ReadPacket deals with messages of the transport on the
// way, and exchanges keys when the server asks for new keys.
//
// ReadPacket blocks until a packet comes or the connection ends, for example by
// Close. Concurrent callers take turns.
func (c *Conn) ReadPacket() ([]byte, error) {
	if err := c.startReading(); err != nil {
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
				c.delivered.Store(c.r.Sequence())
				return p, nil
			}
		}
		c.r.failure = err
	}
}

// NotifyWait sets a function to be called each time before ReadPacket reads from the
// connection below, and before anything else in ReadPacket that may take long. So a
// reader who wakes other goroutines can wake them once for all the packets that have
// come together, some 256 KiB at the most. waiting must return soon, and not call
// ReadPacket; a ReadPacket may call waiting several times or not at all. After
// NotifyWait(nil) nothing is called.
func (c *Conn) NotifyWait(waiting func()) { c.r.NotifyWait(waiting) }

// startReading takes the read lock, and sends the service request that is held: the
// reader waits for the answer.
func (c *Conn) startReading() error {
	select {
	case <-c.r.lock:
	case <-c.done:
		return c.ended()
	}
	c.startWaiting()
	err := c.alive() // select may have taken the lock of a connection that has ended
	if err == nil && !c.r.keyed {
		err = errNoHandshake
	}
	if err == nil && c.w.Holding() {
		c.r.Notify()
		_ = c.Flush() // after an error too, the server's last packets are read
		err = c.alive()
	}
	if err != nil {
		c.stopReading()
	}
	return err
}

func (c *Conn) stopReading() {
	c.stopWaiting()
	c.r.lock <- struct{}{}
}

// next returns the next packet. Until the server has granted access, all that comes is
// charged to the budgets.
func (c *Conn) next() ([]byte, error) {
	p, err := c.r.Next()
	if err != nil {
		var violation *packetio.Error
		if errors.As(err, &violation) {
			err = &ProtocolError{Detail: violation.Detail}
		}
		return nil, err
	}
	if !c.authed.Load() {
		err = c.checkBudget()
	}
	return p, err
}

// Unimplemented tells the server that nobody knows the message of the latest
// ReadPacket, as RFC 4253 section 11.4 demands. The caller of ReadPacket calls
// Unimplemented, before the next ReadPacket.
func (c *Conn) Unimplemented() error {
	if err := c.alive(); err != nil {
		return err
	}
	if err := c.owe(ssh.Marshal(&unimplementedMsg{Seq: c.delivered.Load()})); err != nil {
		return c.reject(err)
	}
	return nil
}

// dispatch deals with a packet outside a key exchange, and reports whether the packet
// was the transport's. The message number is the layer.
func (c *Conn) dispatch(p []byte) (mine bool, err error) {
	n := p[0]
	if n < msgUpperFirst || n > msgUpperLast {
		c.r.Notify() // the answer may have to wait for room
	}
	if n != msgKexInit {
		c.checkReadUsage()
	}
	switch n {
	case msgDisconnect:
		return true, parseDisconnect(p)
	case msgIgnore, msgDebug, msgUnimplemented, msgPong:
		// UNIMPLEMENTED is dropped: the layers above notice a missing reply by their count.
		return true, nil
	}
	if c.r.extInfos > 1 && !c.authed.Load() && n != msgAuthSuccess {
		// RFC 8308 section 2.4: the second EXT_INFO stands right before the success.
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
		return true, c.owe(ssh.Marshal(&unimplementedMsg{Seq: c.r.Sequence()}))
	}
}

// checkUpper refuses messages of the layers above until the server has accepted their
// service.
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
