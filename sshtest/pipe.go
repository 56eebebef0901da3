package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeSize is the room of each direction of a Pipe, in bytes. Sockets on
// loopback have about as much, and the greetings of both ends fit.
const pipeSize = 64 << 10

// Pipe returns the two ends of a connection in memory, the client's first.
//
// A Pipe behaves as a TCP connection does, unlike net.Pipe. Each direction
// holds 64 KiB, so two ends that both start by writing do not wait for each
// other; Write blocks only while the direction is full. After Close, the peer
// reads the bytes written before, and then io.EOF. CloseWrite (through the
// interface of *net.TCPConn) ends one direction only. Addresses are
// *net.TCPAddr on 127.0.0.1, the server's end at port 22.
//
// All waiting is on a sync.Cond, which testing/synctest counts as durably
// blocked: inside a bubble, hours of a quiet connection pass at once.
func Pipe() (net.Conn, net.Conn) {
	client := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 49152}
	server := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}
	up, down := newPipeHalf(), newPipeHalf()
	return &pipeConn{in: down, out: up, local: client, remote: server},
		&pipeConn{in: up, out: down, local: server, remote: client}
}

// A pipeConn is one end of a Pipe: the reader of one half, and the writer of
// the other.
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

// opError returns an error in the form of package net, because callers look
// for *net.OpError and Timeout.
func (c *pipeConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions. The peer still reads the bytes written before,
// and cannot write any more.
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
	changed sync.Cond // after any field below; the lock is mu
	ring    [pipeSize]byte
	start   int  // of the unread bytes
	length  int  // of the unread bytes
	writing bool // a Write is under way; other Writes wait, so that their bytes do not mix
	reader  pipeSide
	writer  pipeSide
}

// A pipeSide is the state of one end of a half.
type pipeSide struct {
	closed  error // of this end's calls; nil while open
	expired bool  // the deadline has passed
	timer   *time.Timer
}

func newPipeHalf() *pipeHalf {
	h := new(pipeHalf)
	h.changed.L = &h.mu
	return h
}

// err is the reason for this end to stop, or nil.
func (s *pipeSide) err() error {
	if s.closed != nil {
		return s.closed
	}
	if s.expired {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// read waits for at least a byte, the end of the stream, or the end of the
// reader's side. Bytes come before the end of the stream.
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

// write copies all of p, in pieces if the ring is full, and returns early only
// with an error. Other writers wait until the last piece, as they do at a
// socket.
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

// writeErr is the reason for the writer to stop: its own end first, then a
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

// closeReader reports whether this call is the first.
func (h *pipeHalf) closeReader() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.reader.closed == nil
	h.reader.close(net.ErrClosed)
	h.length = 0 // nobody will read it
	h.changed.Broadcast()
	return first
}

// closeWriter ends the stream. The writer's calls return err from now on, and
// a Close after a CloseWrite replaces err.
func (h *pipeHalf) closeWriter(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer.closed != net.ErrClosed {
		h.writer.close(err)
	}
	h.changed.Broadcast()
}

// close sets the error of all calls from now on, and stops the deadline's
// timer.
func (s *pipeSide) close(err error) {
	s.closed = err
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// setDeadline replaces a deadline, for waiting calls too. A deadline in the
// past expires at once, without a timer.
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
			// Another timer has taken the place of a timer that ran too early to be stopped.
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
