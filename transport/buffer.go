package transport

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// receiveSizes are the sizes of receive buffers, in bytes: for the messages of
// a quiet connection, for a handshake, for one packet of the size that every
// peer accepts, and for bulk data. The largest packet that MaxPacket allows fits
// into the last one. A peer gets a buffer for what it has announced, so that
// four bytes cost no more than that, and a larger one when it has filled it.
var receiveSizes = [...]int{1 << 10, 16 << 10, 48 << 10, 264 << 10}

// receiveBuffers has the buffers that no connection holds, by size.
var receiveBuffers [len(receiveSizes)]sync.Pool

// receiveBuffer is what has come from the connection below and is not consumed
// yet. It holds memory only while there is something: a socket that waits for
// its peer holds none, and any other connection a buffer of the smallest size.
type receiveBuffer struct {
	conn net.Conn

	// A socket is read by receive, which raw calls as soon as it is readable.
	raw      syscall.RawConn       // nil if conn is no socket
	receive  func(fd uintptr) bool // bound once, so that no read allocates
	need     int                   // its argument: bytes from start that must fit
	received int                   // its results
	err      error
	pace     pacer

	// waiting is what the reader wants to be called before a wait; may be nil.
	waiting func()

	// buf[start:end] is received and not consumed. Packets are decrypted in
	// place, and what ReadPacket returns points into it.
	buf        []byte
	start, end int
	lent       *[]byte // buf in receiveBuffers; nil while nothing is held
	class      int     // of lent, an index of receiveSizes
	peak       int     // the most that lent has held
	usual      int     // the class that bursts of this peer need
}

func (b *receiveBuffer) init(c net.Conn) {
	b.conn = c
	if b.raw = rawSocket(c); b.raw != nil {
		b.receive = b.tryReceive
	}
}

// peek returns the next n bytes without consuming them. n is bounded by the
// largest packet and a tag. It reads as much as the connection has and the
// buffer holds. What was consumed before may be gone after it.
func (b *receiveBuffer) peek(n int) ([]byte, error) {
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
	for b.end-b.start < n {
		m, err := b.read(n)
		b.end += m
		b.peak = max(b.peak, b.end)
		if err != nil && b.end-b.start < n {
			return nil, noEOF(err)
		}
	}
	return b.buf[b.start : b.start+n], nil
}

// read reads once, what there is, into a buffer where n bytes from start fit.
func (b *receiveBuffer) read(n int) (int, error) {
	if b.raw != nil {
		return b.readSocket(n)
	}
	b.notify() // the read may wait
	if b.end == 0 {
		b.giveBack()
		b.borrow(0)
	}
	b.makeRoom(n)
	return b.conn.Read(b.buf[b.end:])
}

// readSocket reads like net.Conn's Read, but that there need be no buffer as
// long as there is nothing to read.
func (b *receiveBuffer) readSocket(n int) (int, error) {
	b.notify() // here, and not below: raw holds the socket, and Close waits for that
	b.need, b.received, b.err = n, 0, nil
	err := b.raw.Read(b.receive)
	if err == nil {
		err = b.err
	}
	return b.received, socketError(b.conn, "read", err)
}

// socketError makes an error of a raw socket what the connection itself would
// have said.
func socketError(c net.Conn, op string, err error) error {
	switch e := err.(type) {
	case *net.OpError:
		e.Op = op // not "raw-read"
	case syscall.Errno:
		local := c.LocalAddr()
		return &net.OpError{
			Op: op, Net: local.Network(), Source: local, Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, e),
		}
	}
	return err
}

// tryReceive reads from a socket, and tells whether that was the end of it:
// otherwise it is called again when there is something.
func (b *receiveBuffer) tryReceive(fd uintptr) bool {
	b.makeRoom(b.need)
	paused := b.pace.due()
	if paused {
		pause()
	}
	var again bool
	b.received, again, b.err = readNow(fd, b.buf[b.end:])
	b.pace.note(b.received, paused)
	if !again {
		return true
	}
	if b.end == 0 {
		b.giveBack()
	}
	return false
}

// notify tells the reader that there may be a wait.
func (b *receiveBuffer) notify() {
	if b.waiting != nil {
		b.waiting()
	}
}

// makeRoom makes n bytes from start fit, and leaves room to read. A buffer
// that is full and still not enough is replaced by a larger one: this
// connection has much to say, and larger reads are cheaper.
func (b *receiveBuffer) makeRoom(n int) {
	if b.lent == nil {
		b.borrow(max(b.usual, classFor(n)))
	}
	if b.start+n <= len(b.buf) && b.end < len(b.buf) {
		return
	}
	received, old, oldClass := b.buf[b.start:b.end], b.lent, b.class
	class := max(b.class, classFor(n))
	if b.end == len(b.buf) {
		class = max(class, b.usual, min(b.class+1, len(receiveSizes)-1))
	}
	if class > b.class {
		b.borrow(class)
		defer receiveBuffers[oldClass].Put(old)
	}
	b.start, b.end = 0, copy(b.buf, received)
}

// classFor returns the smallest class that n bytes fit into.
func classFor(n int) (class int) {
	for class < len(receiveSizes)-1 && receiveSizes[class] < n {
		class++
	}
	return class
}

// borrow takes an empty buffer of a class.
func (b *receiveBuffer) borrow(class int) {
	lent, ok := receiveBuffers[class].Get().(*[]byte)
	if !ok {
		buf := make([]byte, receiveSizes[class])
		lent = &buf
	}
	b.lent, b.buf, b.class, b.peak = lent, *lent, class, 0
	b.usual = max(b.usual, class)
}

// giveBack returns the buffer, in which nothing is left. If the next smaller
// one would have done, that will be the usual one.
func (b *receiveBuffer) giveBack() {
	if b.lent == nil {
		return
	}
	if b.class > 0 && b.peak > 0 && b.peak <= receiveSizes[b.class-1] {
		b.usual = b.class - 1
	}
	receiveBuffers[b.class].Put(b.lent)
	b.lent, b.buf, b.class = nil, nil, 0
}
