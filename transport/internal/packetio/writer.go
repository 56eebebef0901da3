package packetio

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of write buffers, in bytes.
const (
	writeBuffer    = 132 * 1024      // for one write: 128 KiB of data, and the frames around them
	maxWriteBuffer = 4 * writeBuffer // a buffer that has grown beyond is not used again
)

// writeBuffers has the buffers that no connection holds. Only a connection that is
// writing holds a buffer.
var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, writeBuffer)
	return &b
}}

// A Writer is the sending direction of a connection: Seal fills a buffer, and Flush
// writes the buffer out.
type Writer struct {
	conn   net.Conn
	cipher Cipher
	seq    uint32
	usage  Usage   // of the key
	buf    *[]byte // from Borrow to GiveBack: sealed packets
	left   *[]byte // from GiveBack to Borrow: packets that TryFlush could not send, or nil
	socket socketWriter

	// held are sealed packets that leave with the next ones: see Hold. holding
	// tells callers without the lock that there are some.
	held    []byte
	holding atomic.Bool
}

// Init prepares a Writer to c, without a cipher.
func (w *Writer) Init(c net.Conn) {
	w.conn, w.cipher = c, plain{}
	w.socket.init(c)
}

// SetCipher takes a new cipher into use. restart makes sequence numbers start at 0,
// as strict key exchange demands.
func (w *Writer) SetCipher(c Cipher, restart bool) {
	w.cipher, w.usage = c, Usage{}
	if restart {
		w.seq = 0
	}
}

// KeyUsage returns how much the cipher has sealed.
func (w *Writer) KeyUsage() Usage { return w.usage }

// Borrow takes a buffer, and the packets left. All other methods but Left and Holding
// are for the time from Borrow to GiveBack.
func (w *Writer) Borrow() {
	if w.buf, w.left = w.left, nil; w.buf == nil {
		w.buf = writeBuffers.Get().(*[]byte)
	}
}

// GiveBack returns the buffer, unless keep is set and packets are left.
func (w *Writer) GiveBack(keep bool) {
	if keep && len(*w.buf) > 0 {
		w.left = w.buf
	} else if *w.buf = (*w.buf)[:0]; cap(*w.buf) <= maxWriteBuffer {
		writeBuffers.Put(w.buf)
	}
	w.buf = nil
}

// Left reports whether packets are left for the next Borrow.
func (w *Writer) Left() bool { return w.left != nil }

// AppendVersion appends the identification string, the only bytes outside packets.
func (w *Writer) AppendVersion(line string) { *w.buf = append(*w.buf, line...) }

// Seal appends a packet to the buffer, encrypted. RFC 4253 section 6:
// padding makes the packet a multiple of the block size, and is random. The payload
// is not retained, but encrypted in place if Buffer has lent its memory.
func (w *Writer) Seal(payload []byte) error {
	if w.usage.Packets >= maxKeyPackets {
		return fmt.Errorf("transport: the key is spent after 2^32 packets, and the server has not given a new key")
	}
	w.TakeHeld()
	length, padding := w.length(len(payload))
	size := 4 + int(length) + w.cipher.tag()
	buf := slices.Grow(*w.buf, size)
	frame := buf[len(buf) : len(buf)+size]
	binary.BigEndian.PutUint32(frame, length)
	frame[4] = byte(padding)
	if !w.InBuffer(payload) {
		copy(frame[headerSize:], payload)
	}
	rand.Read(frame[4+length-padding : 4+length]) // never fails
	w.cipher.seal(w.seq, frame)
	*w.buf = buf[:len(buf)+size]
	w.seq++
	w.usage.add(size)
	return nil
}

// Buffer returns an empty slice of the memory where the next packet's payload will
// be, with room for size bytes. Seal does not copy a payload that was appended to
// the slice.
func (w *Writer) Buffer(size int) []byte {
	w.TakeHeld()
	length, _ := w.length(size)
	*w.buf = slices.Grow(*w.buf, 4+int(length)+w.cipher.tag())
	start := len(*w.buf) + headerSize
	return (*w.buf)[start : start : start+size]
}

// InBuffer reports whether a payload is in the memory that Buffer has returned last.
func (w *Writer) InBuffer(payload []byte) bool {
	next := (*w.buf)[len(*w.buf):cap(*w.buf)]
	return len(payload) > 0 && len(next) > headerSize && &next[headerSize] == &payload[0]
}

// Fits reports whether a payload of so many bytes has room without a Flush before.
// Otherwise Seal makes the buffer larger.
func (w *Writer) Fits(payload int) bool {
	length, _ := w.length(payload)
	used := len(w.held) + len(*w.buf)
	return used == 0 || used+4+int(length)+w.cipher.tag() <= writeBuffer
}

// length returns the packet_length of a payload of so many bytes, and how much of
// the packet is padding.
func (w *Writer) length(payload int) (length, padding uint32) {
	block, counted := w.cipher.block()
	padding = block - (1+uint32(payload)+counted)%block
	if padding < minPadding {
		padding += block
	}
	return 1 + uint32(payload) + padding, padding
}

// Hold keeps the packets of the buffer for the next Flush with others, but no longer
// than until somebody waits for an answer. A service request leaves with the packet
// behind so. Sent apart, they would get two answers, and Nagle's algorithm in sshd would
// hold the second back until the first is acknowledged.
func (w *Writer) Hold() {
	w.held = append(w.held, *w.buf...)
	*w.buf = (*w.buf)[:0]
	w.holding.Store(true)
}

// Holding reports whether packets are held. It is safe without the lock.
func (w *Writer) Holding() bool { return w.holding.Load() }

// TakeHeld moves the packets that are held to the buffer.
func (w *Writer) TakeHeld() {
	if len(w.held) > 0 {
		*w.buf = append(*w.buf, w.held...)
		w.held = nil
		w.holding.Store(false)
	}
}

// Flush writes the buffer out.
func (w *Writer) Flush() error {
	if len(*w.buf) == 0 {
		return nil // another caller has sent the packets
	}
	_, err := w.conn.Write(*w.buf)
	*w.buf = (*w.buf)[:0]
	return noEOF(err)
}

// CanTry reports whether there is TryFlush: the connection is a socket.
func (w *Writer) CanTry() bool { return w.socket.raw != nil }

// TryFlush writes out as much of the buffer as the socket takes at once. left is true
// if the socket has not taken all.
func (w *Writer) TryFlush() (left bool, err error) {
	n, err := w.socket.write(*w.buf)
	*w.buf = (*w.buf)[:copy(*w.buf, (*w.buf)[n:])]
	return len(*w.buf) > 0, socketError(w.conn, "write", err)
}
