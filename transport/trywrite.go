package transport

import (
	"net"
	"syscall"
)

// socketWriter writes to a socket as much as there is room for.
type socketWriter struct {
	raw    syscall.RawConn       // nil if the connection below is no socket
	send   func(fd uintptr) bool // bound once, so that no write allocates
	data   []byte                // its argument
	sent   int                   // its results
	failed error
}

func (s *socketWriter) init(c net.Conn) {
	if s.raw = rawSocket(c); s.raw != nil {
		s.send = s.trySend
	}
}

// trySend ends the write in any case, and so never has raw wait.
func (s *socketWriter) trySend(fd uintptr) bool {
	s.sent, s.failed = writeNow(fd, s.data)
	return true
}

// write returns how much of data could be sent.
func (s *socketWriter) write(data []byte) (int, error) {
	s.data, s.sent, s.failed = data, 0, nil
	err := s.raw.Write(s.send)
	if err == nil {
		err = s.failed
	}
	s.data = nil
	return s.sent, err
}

// TryWritePackets is WritePackets that never waits: neither for its turn nor for
// a key exchange, nor for the peer to read. It returns how many of the packets
// it has taken, which may be none. The others are to go to WritePackets. If
// more is true, WritePackets is to be called in any case, with or without packets:
// not all of what was taken could leave, and the rest leaves before anything else
// does, or new keys are due.
//
// A goroutine that has much to send saves a copy and a change of goroutines by
// it. Each packet is in two parts, a header and data that need not stand behind
// it in memory; the second one may be empty. Neither is retained.
//
// It takes packets only when authentication is over, and only if the connection
// below is a TCP or Unix socket and the system is a Unix. It may be called
// concurrently with every method.
func (c *Conn) TryWritePackets(packets [][2][]byte) (n int, more bool, err error) {
	for _, p := range packets {
		if err := checkPacket(p[0], len(p[0])+len(p[1])); err != nil {
			return 0, false, err
		}
	}
	if c.w.socket.raw == nil || !c.authed.Load() || c.alive() != nil {
		return 0, false, nil
	}
	select {
	case <-c.w.lock:
	default:
		return 0, false, nil
	}
	if c.w.err != nil || c.w.exchange != nil || c.due() {
		c.w.lock <- struct{}{} // WritePackets knows what to do
		return 0, false, nil
	}
	c.w.borrow()
	for n < len(packets) && err == nil && !c.due() && c.w.fits(len(packets[n][0])+len(packets[n][1])) {
		if err = c.w.seal(packets[n][0], packets[n][1]); err == nil {
			n++
		}
	}
	if err == nil {
		err = c.w.tryFlush()
	}
	more = len(*c.w.buf) > 0 || c.due()
	return n, more, c.unlockWriter(err)
}

// fits tells whether a packet can be sealed without a write before it.
func (w *writeHalf) fits(payload int) bool {
	length, _ := w.length(payload)
	return len(w.held)+len(*w.buf)+4+int(length)+w.cipher.tag() <= writeBuffer
}

// tryFlush writes out as much of the buffer as can leave now.
func (w *writeHalf) tryFlush() error {
	n, err := w.socket.write(*w.buf)
	*w.buf = (*w.buf)[:copy(*w.buf, (*w.buf)[n:])]
	return socketError(w.conn, "write", err)
}
