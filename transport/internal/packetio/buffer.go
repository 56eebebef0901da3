package packetio

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// receiveSizes are the sizes of receive buffers, in bytes: for a quiet connection, for a
// handshake, for a packet of the size that every peer accepts, and for bulk data; the
// largest packet of any Config fits. A peer gets a buffer for the packet announced, and
// a larger buffer when that is full.
var receiveSizes = [...]int{1 << 10, 16 << 10, 48 << 10, 264 << 10}

// receiveBuffers has the buffers that no connection holds, by size.
var receiveBuffers [len(receiveSizes)]sync.Pool

// receiveBuffer has the bytes that have come from the connection below and are not
// consumed yet. A receiveBuffer holds memory only while there are some: a socket that
// waits for its peer holds none, and any other connection a buffer of the smallest
// size.
type receiveBuffer struct {
	conn net.Conn

	// A socket is read by receive: raw calls receive as soon as there is something.
	raw      syscall.RawConn       // nil if conn is no socket
	receive  func(fd uintptr) bool // bound once, so that no read allocates
	need     int                   // its argument: bytes from start that must fit
	received int                   // its results
	err      error
	pace     pacer

	// waiting is called before each wait; nil means no call.
	waiting atomic.Pointer[func()]

	// buf[start:end] is received and not consumed. Packets are decrypted in
	// place, and the payloads that Next returns are in here.
	buf        []byte
	start, end int
	lent       *[]byte // buf in receiveBuffers; nil while nothing is held
	class      int     // of lent, an index of receiveSizes
	peak       int     // the most that lent has held
	usual      int     // size class that held this peer's recent bursts
}

// NotifyWait sets a function to be called before each wait; nil ends the calls. No
// lock is needed.
func (b *receiveBuffer) NotifyWait(f func()) {
	if f == nil {
		b.waiting.Store(nil)
		return
	}
	b.waiting.Store(&f)
}

func (b *receiveBuffer) init(c net.Conn) {
	b.conn = c
	if b.raw = rawSocket(c); b.raw != nil {
		b.receive = b.tryReceive
	}
}

// peek returns the next n bytes without consuming them. peek reads as much as the
// connection has and the buffer holds, and may overwrite consumed bytes.
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

// read reads once, as much as there is, into a buffer where n bytes from start fit.
func (b *receiveBuffer) read(n int) (int, error) {
	if b.raw != nil {
		return b.readSocket(n)
	}
	b.Notify() // the read may wait
	if b.end == 0 {
		b.giveBack()
		b.borrow(0)
	}
	b.makeRoom(n)
	return b.conn.Read(b.buf[b.end:])
}

// readSocket reads like net.Conn's Read, but needs no buffer as long as there is
// nothing to read.
func (b *receiveBuffer) readSocket(n int) (int, error) {
	b.Notify() // here, and not below: raw holds the socket, and Close waits for raw
	b.need, b.received, b.err = n, 0, nil
	err := b.raw.Read(b.receive)
	if err == nil {
		err = b.err
	}
	return b.received, socketError(b.conn, "read", err)
}

// tryReceive reads from a socket, and reports whether something has come. Otherwise
// raw calls tryReceive again when there is something.
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

// Notify tells the reader of a wait to come.
func (b *receiveBuffer) Notify() {
	if waiting := b.waiting.Load(); waiting != nil {
		(*waiting)()
	}
}

// makeRoom makes n bytes from start fit, and leaves room to read. A buffer that is
// full and still not enough is replaced by a larger buffer: this connection has much
// to say, and larger reads are cheaper.
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

// giveBack returns the buffer, in which nothing is left. If the next smaller class
// would have done, that class is the usual from now on.
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
