package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeSize is how many bytes each direction of a Pipe holds: about what a
// socket on loopback does, and more than both ends say before they listen.
const pipeSize = 64 << 10

// Pipe returns the two ends of a connection in memory, the client's first.
//
// It behaves as a TCP connection does where net.Pipe does not. Each direction
// holds 64 KiB, so two ends that both start by writing do not wait for each
// other; a Write blocks only while that is full. Close lets the peer read what
// was written before it and then io.EOF, and CloseWrite (through the interface
// that *net.TCPConn satisfies too) ends one direction only. Addresses are
// *net.TCPAddr on 127.0.0.1, the server's end at port 22.
//
// Whoever waits does so on a sync.Cond, which testing/synctest counts as
// durably blocked: inside a bubble, hours of a quiet connection pass at once.
func Pipe() (net.Conn, net.Conn) {
	client := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 49152}
	server := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}
	up, down := newPipeHalf(), newPipeHalf()
	return &pipeConn{in: down, out: up, local: client, remote: server},
		&pipeConn{in: up, out: down, local: server, remote: client}
}

// A pipeConn is one end of a Pipe: the reader of one half, the writer of the
// other.
type pipeConn struct {
	in, out       *pipeHalf
	local, remote net.Addr
}

func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *pipeConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// opError dresses an error as those of net do, because callers look for
// *net.OpError and its Timeout.
func (c *pipeConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

func (c *pipeConn) Close() error {
	first := c.in.closeReader()
	c.out.closeWriter(net.ErrClosed)
	if !first {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

func (c *pipeConn) CloseWrite() error {
	c.out.closeWriter(io.ErrClosedPipe)
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	if err := c.in.setDeadline(&c.in.reader, t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	if err := c.out.setDeadline(&c.out.writer, t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

// A pipeHalf is one direction: a ring of bytes between a writer and a reader.
type pipeHalf struct {
	mu      sync.Mutex
	changed sync.Cond // any field below changed; its lock is mu
	ring    [pipeSize]byte
	start   int  // of the unread bytes
	length  int  // of the unread bytes
	writing bool // a Write is under way; others wait, so that bytes of two never mix
	reader  pipeSide
	writer  pipeSide
}

// A pipeSide is what one end has done to its side of a half.
type pipeSide struct {
	closed  error // what this end's calls return from now on; nil while open
	expired bool  // the deadline has passed
	timer   *time.Timer
}

func newPipeHalf() *pipeHalf {
	h := new(pipeHalf)
	h.changed.L = &h.mu
	return h
}

// err is what keeps this end from going on.
func (s *pipeSide) err() error {
	if s.closed != nil {
		return s.closed
	}
	if s.expired {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (h *pipeHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := h.reader.err(); err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		if h.length > 0 {
			break
		}
		if h.writer.closed != nil {
			return 0, io.EOF
		}
		h.changed.Wait()
	}
	n := 0
	for n < len(p) && h.length > 0 {
		m := copy(p[n:], h.ring[h.start:min(h.start+h.length, pipeSize)])
		h.start = (h.start + m) % pipeSize
		h.length -= m
		n += m
	}
	h.changed.Broadcast()
	return n, nil
}

func (h *pipeHalf) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.writing && h.writeErr() == nil {
		h.changed.Wait()
	}
	if err := h.writeErr(); err != nil {
		return 0, err
	}
	h.writing = true
	defer func() {
		h.writing = false
		h.changed.Broadcast()
	}()
	n := 0
	for n < len(p) {
		if err := h.writeErr(); err != nil {
			return n, err
		}
		if h.length == pipeSize {
			h.changed.Wait()
			continue
		}
		end := (h.start + h.length) % pipeSize
		free := h.ring[end:min(end+pipeSize-h.length, pipeSize)]
		m := copy(free, p[n:])
		h.length += m
		n += m
		h.changed.Broadcast()
	}
	return n, nil
}

// writeErr is what keeps the writer from going on: its own end first, then a
// reader that is gone.
func (h *pipeHalf) writeErr() error {
	if err := h.writer.err(); err != nil {
		return err
	}
	if h.reader.closed != nil {
		return io.ErrClosedPipe
	}
	return nil
}

// closeReader reports whether it was the first to be called.
func (h *pipeHalf) closeReader() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.reader.closed == nil
	h.reader.close(net.ErrClosed)
	h.length = 0 // nobody will read it
	h.changed.Broadcast()
	return first
}

// closeWriter ends the stream; err is what the writer's own calls return, and
// a Close after a CloseWrite overrules it.
func (h *pipeHalf) closeWriter(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer.closed != net.ErrClosed {
		h.writer.close(err)
	}
	h.changed.Broadcast()
}

func (s *pipeSide) close(err error) {
	s.closed = err
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

func (h *pipeHalf) setDeadline(s *pipeSide, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.closed == net.ErrClosed {
		return net.ErrClosed
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	wait := time.Until(t)
	s.expired = !t.IsZero() && wait <= 0
	if !t.IsZero() && !s.expired {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			// A timer that was too late to be stopped is not this one.
			if s.timer == timer {
				s.expired = true
				h.changed.Broadcast()
			}
		})
		s.timer = timer
	}
	h.changed.Broadcast()
	return nil
}
