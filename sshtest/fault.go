package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A FaultKind names a fault of one direction of a connection.
type FaultKind int

// The kinds of faults. Most kinds leave the other direction alone. A Cut of
// the bytes that go out closes a far end without CloseWrite; the far end never
// gets the bytes held back by Swap when no others follow.
const (
	Pass  FaultKind = iota // no fault
	Cut                    // the end: the reader has io.EOF, the writer syscall.EPIPE
	Reset                  // syscall.ECONNRESET in both directions; a far end over TCP is reset too, others are hung up
	Stall                  // nothing passes any more, and nothing ends
	Lose                   // Stall, with writes that succeed: half of a half-open connection
	Flip                   // the lowest bit of a byte is wrong
	Swap                   // Chunk bytes (at least 1) change places with as many bytes behind them
)

// A Fault is the behaviour of one direction of a connection. The zero Fault is
// none.
type Fault struct {
	Kind  FaultKind
	After int64         // bytes that pass before the fault
	Chunk int           // bytes that pass at once, at most; 0 means any number
	Every time.Duration // the time between two chunks
}

// Faults are the faults of both directions, seen by the client, whose reads
// come In and whose writes go Out.
type Faults struct{ In, Out Fault }

// Conn returns a connection over c that has these faults, and that owns c. Any
// connection with working deadlines will do: a client's end, or a [LinkConn].
//
// Deadlines and Close work during any fault. Conn starts no goroutines, and
// waits by timers and on a sync.Cond, which suits a bubble of testing/synctest
// if c does.
func (f Faults) Conn(c net.Conn) *FaultConn {
	x := &FaultConn{conn: c}
	x.changed.L = &x.mu
	x.Break(f)
	return x
}

// A FaultConn is a connection with [Faults]. All methods may be called
// concurrently.
type FaultConn struct {
	conn net.Conn

	mu      sync.Mutex
	changed sync.Cond // after any field below, or after some time; the lock is mu
	in, out faultHalf
	ended   error // of every call; nil while open
}

// A faultHalf is one direction. The connection's mutex guards a faultHalf.
type faultHalf struct {
	fault    Fault
	passed   int64     // bytes since fault was set
	due      time.Time // of the next chunk
	busy     bool      // a call owns the direction, and others wait
	held     []byte    // In: bytes read and not delivered; Out: bytes to be swapped
	deadline time.Time
	alarm    *time.Timer // of the deadline
	below    bool        // a Read of the connection below is under way
	poked    bool        // the Read below was interrupted by a deadline
}

// Break replaces the faults, and counts bytes from now. An After of 0 is at
// once, also for calls that wait already: the cable is cut while the client
// works.
func (c *FaultConn) Break(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.in.fault, c.in.passed, c.in.due = f.In, 0, now.Add(f.In.Every)
	c.out.fault, c.out.passed, c.out.due = f.Out, 0, now.Add(f.Out.Every)
	c.strike()
	if c.in.below {
		c.in.poked = true
		c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	c.changed.Broadcast()
}

// strike shows a fault to the far end, or to the other direction. A socket
// that does not linger tells its peer of a reset.
func (c *FaultConn) strike() {
	switch {
	case c.ended != nil:
	case c.in.strikes() == Reset || c.out.strikes() == Reset:
		c.ended = syscall.ECONNRESET
		if t, ok := c.conn.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.conn.Close()
		c.changed.Broadcast()
	case c.out.strikes() == Cut:
		closeWrite(c.conn)
	}
}

// strikes returns the fault of the next byte.
func (h *faultHalf) strikes() FaultKind {
	if h.passed == h.fault.After {
		return h.fault.Kind
	}
	return Pass
}

// limit returns how many of n bytes may pass at once.
func (h *faultHalf) limit(n int) int {
	if h.fault.Chunk > 0 {
		n = min(n, h.fault.Chunk)
	}
	if left := h.fault.After - h.passed; h.fault.Kind != Pass && left > 0 {
		n = int(min(int64(n), left))
	}
	return n
}

// pass counts bytes that have passed.
func (c *FaultConn) pass(h *faultHalf, n int) {
	h.passed += int64(n)
	h.due = time.Now().Add(h.fault.Every)
	c.strike()
}

// segment is the number of bytes that Swap moves together.
func (h *faultHalf) segment() int { return max(h.fault.Chunk, 1) }

// swapped returns two segments in the wrong order.
func swapped(b []byte, segment int) []byte {
	return append(append([]byte(nil), b[segment:2*segment]...), b[:segment]...)
}

// take waits until no other call owns the direction, and gives the direction
// to the caller. Two calls of the same kind thus never mix their bytes.
func (c *FaultConn) take(h *faultHalf) error {
	for h.busy && c.stopped(h) == nil {
		c.changed.Wait()
	}
	if err := c.stopped(h); err != nil {
		return err
	}
	h.busy = true
	return nil
}

// release ends the ownership of take.
func (c *FaultConn) release(h *faultHalf) {
	h.busy = false
	c.changed.Broadcast()
}

// stopped is the reason for a call to stop, or nil.
func (c *FaultConn) stopped(h *faultHalf) error {
	if c.ended != nil {
		return c.ended
	}
	if !h.deadline.IsZero() && !time.Now().Before(h.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// notDue waits a while if the next chunk is not due, and returns whether there
// was a wait.
func (c *FaultConn) notDue(h *faultHalf) bool {
	wait := time.Until(h.due)
	if h.fault.Every <= 0 || wait <= 0 {
		return false
	}
	defer time.AfterFunc(wait, c.wake).Stop()
	c.changed.Wait()
	return true
}

// wake makes every waiting call look again, because a timer has fired.
func (c *FaultConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// Read reads the bytes that the faults let through.
func (c *FaultConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.in
	if err := c.take(h); err != nil {
		return 0, c.opError("read", err)
	}
	defer c.release(h)
	for {
		if err := c.stopped(h); err != nil {
			return 0, c.opError("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		need := 1
		switch h.strikes() {
		case Cut:
			return 0, io.EOF
		case Stall, Lose:
			c.changed.Wait()
			continue
		case Swap:
			need = 2 * h.segment()
		}
		if len(h.held) < need {
			err := c.fetch()
			if err != nil && (err != io.EOF || len(h.held) == 0) {
				return 0, err
			}
			if err == nil {
				continue
			}
		}
		if c.notDue(h) {
			continue
		}
		return c.deliver(p, need), nil
	}
}

// fetch adds bytes to those held. The mutex is unlocked meanwhile, so that any
// field may have changed.
func (c *FaultConn) fetch() error {
	h := &c.in
	if h.poked {
		h.poked = false
		c.conn.SetReadDeadline(h.deadline)
	}
	h.below = true
	c.mu.Unlock()
	buf := make([]byte, 32<<10)
	n, err := c.conn.Read(buf)
	c.mu.Lock()
	h.below = false
	h.held = append(h.held, buf[:n]...)
	if h.poked || n > 0 || c.ended != nil {
		return nil // a lasting error comes again
	}
	return err
}

// deliver moves held bytes to their reader, with at most one fault.
func (c *FaultConn) deliver(p []byte, need int) int {
	h := &c.in
	switch strikes := h.strikes(); {
	case strikes == Flip:
		h.held[0] ^= 1
	case strikes == Swap && len(h.held) >= need:
		copy(h.held, swapped(h.held, h.segment()))
	}
	n := copy(p[:h.limit(len(p))], h.held)
	h.held = h.held[n:]
	c.pass(h, n)
	return n
}

// Write writes p through the faults.
func (c *FaultConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.out
	if err := c.take(h); err != nil {
		return 0, c.opError("write", err)
	}
	defer c.release(h)
	for n := 0; ; {
		if err := c.stopped(h); err != nil {
			return n, c.opError("write", err)
		}
		if n == len(p) {
			return n, nil
		}
		switch h.strikes() {
		case Cut:
			return n, c.opError("write", syscall.EPIPE)
		case Stall:
			c.changed.Wait()
			continue
		case Lose:
			return len(p), nil
		}
		if c.notDue(h) {
			continue
		}
		taken, err := c.push(p[n:])
		n += taken
		if err != nil && c.ended == nil {
			return n, err
		}
	}
}

// push writes some bytes of p, and returns their number. The mutex is unlocked
// meanwhile.
func (c *FaultConn) push(p []byte) (int, error) {
	h := &c.out
	data := p[:h.limit(len(p))]
	taken := len(data)
	switch h.strikes() {
	case Flip:
		data = append([]byte{p[0] ^ 1}, data[1:]...)
	case Swap:
		segment := h.segment()
		taken = min(len(p), 2*segment-len(h.held))
		h.held = append(h.held, p[:taken]...)
		if len(h.held) < 2*segment {
			return taken, nil
		}
		data = swapped(h.held, segment)
		h.held = nil
	}
	c.mu.Unlock()
	n, err := c.conn.Write(data)
	c.mu.Lock()
	c.pass(h, n)
	if err != nil {
		return min(n, taken), err
	}
	return taken, nil
}

// opError returns an error in the form of package net.
func (c *FaultConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "fault", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close ends the connection, for the far end too, whatever the faults are.
func (c *FaultConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == net.ErrClosed {
		return c.opError("close", net.ErrClosed)
	}
	c.ended = net.ErrClosed
	for _, h := range []*faultHalf{&c.in, &c.out} {
		if h.alarm != nil {
			h.alarm.Stop()
		}
	}
	c.changed.Broadcast()
	c.conn.Close() // after a Reset, once more
	return nil
}

// CloseWrite ends the bytes that go out, unless a fault keeps the end from the
// peer.
func (c *FaultConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.out.strikes(); s != Stall && s != Lose {
		closeWrite(c.conn)
	}
	return nil
}

// LocalAddr returns the local address of the connection below.
func (c *FaultConn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the remote address of the connection below.
func (c *FaultConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *FaultConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read, also of a Read that waits.
func (c *FaultConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.in, t, c.conn.SetReadDeadline)
}

// SetWriteDeadline sets the deadline of Write, also of a Write that waits.
func (c *FaultConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.out, t, c.conn.SetWriteDeadline)
}

// setDeadline sets the deadline here, for calls that a fault holds, and below,
// for calls that the connection below holds.
func (c *FaultConn) setDeadline(h *faultHalf, t time.Time, below func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == net.ErrClosed {
		return c.opError("set", c.ended)
	}
	h.deadline = t
	if h.alarm != nil {
		h.alarm.Stop()
		h.alarm = nil
	}
	if !t.IsZero() {
		h.alarm = time.AfterFunc(time.Until(t), c.wake)
	}
	c.changed.Broadcast()
	if h.poked || c.ended != nil {
		return nil // fetch will set it, or nobody waits any more
	}
	return below(t)
}
