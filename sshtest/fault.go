package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A FaultKind is what goes wrong in one direction of a connection.
type FaultKind int

// The kinds of faults. Those that say nothing else leave the other direction
// as it is. A far end without CloseWrite is closed by a Cut of what goes out,
// and what Swap holds back there is lost if nothing more is written.
const (
	Pass  FaultKind = iota // nothing
	Cut                    // the end: the reader has io.EOF, the writer syscall.EPIPE
	Reset                  // syscall.ECONNRESET in both directions; the far end is reset too if it is TCP, else it is hung up
	Stall                  // nothing passes any more, and nothing ends
	Lose                   // as Stall, but writes succeed: half of a half-open connection
	Flip                   // the lowest bit of one byte is wrong
	Swap                   // Chunk bytes, or one, come after as many that were sent behind them
)

// A Fault is what one direction of a connection does. The zero Fault is none.
type Fault struct {
	Kind  FaultKind
	After int64         // bytes that pass before it
	Chunk int           // bytes that pass at once, at most; 0 is no limit
	Every time.Duration // how long each chunk waits after the one before
}

// Faults are those of both directions, as the client knows them: it reads what
// comes In, and writes what goes Out.
type Faults struct{ In, Out Fault }

// Conn returns a connection over c that has these faults. It owns c, which may
// be any connection whose deadlines work: a client's end, or a [LinkConn].
//
// Deadlines and Close work whatever is the matter. It starts no goroutines,
// and waits by timers and on a sync.Cond, so that it fits into a bubble of
// testing/synctest if c does.
func (f Faults) Conn(c net.Conn) *FaultConn {
	x := &FaultConn{conn: c}
	x.changed.L = &x.mu
	x.Break(f)
	return x
}

// A FaultConn is a connection with [Faults]. Its methods may be called
// concurrently.
type FaultConn struct {
	conn net.Conn

	mu      sync.Mutex
	changed sync.Cond // anything below changed, or some time has passed; its lock is mu
	in, out faultHalf
	ended   error // what every call returns from now on; nil while open
}

// A faultHalf is one direction. The connection's mutex guards it.
type faultHalf struct {
	fault    Fault
	passed   int64     // bytes since fault was set
	due      time.Time // of the next chunk
	busy     bool      // a call has the direction, and others wait
	held     []byte    // of In: read and not delivered; of Out: written, and to be swapped
	deadline time.Time
	alarm    *time.Timer // of the deadline
	below    bool        // a Read of the connection below is under way
	poked    bool        // that has another deadline, to make it return
}

// Break replaces the faults. Their bytes count from now, so that an After of 0
// is at once, for calls that wait already, too: the cable is cut while the
// client works.
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

// strike does what the far end sees of a fault, or the other direction. A
// socket with no time to linger tells its peer of a reset.
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

// strikes returns what happens to the next byte.
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

// segment is how many bytes Swap takes for one.
func (h *faultHalf) segment() int { return max(h.fault.Chunk, 1) }

// swapped returns two segments in the wrong order.
func swapped(b []byte, segment int) []byte {
	return append(append([]byte(nil), b[segment:2*segment]...), b[:segment]...)
}

// take gives the direction to one call, and release takes it back.
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

func (c *FaultConn) release(h *faultHalf) {
	h.busy = false
	c.changed.Broadcast()
}

// stopped is what keeps a call from going on.
func (c *FaultConn) stopped(h *faultHalf) error {
	if c.ended != nil {
		return c.ended
	}
	if !h.deadline.IsZero() && !time.Now().Before(h.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// early waits, and returns true, while the next chunk is not due.
func (c *FaultConn) early(h *faultHalf) bool {
	wait := time.Until(h.due)
	if h.fault.Every <= 0 || wait <= 0 {
		return false
	}
	defer time.AfterFunc(wait, c.wake).Stop()
	c.changed.Wait()
	return true
}

func (c *FaultConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// Read reads what the faults let through.
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
		if c.early(h) {
			continue
		}
		return c.deliver(p, need), nil
	}
}

// fetch adds to what is held. It gives the lock away, so that anything may
// have changed when it returns.
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

// deliver moves bytes that are held to their reader, with one fault at most.
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

// Write writes, and returns what the faults say of that.
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
		if c.early(h) {
			continue
		}
		taken, err := c.push(p[n:])
		n += taken
		if err != nil && c.ended == nil {
			return n, err
		}
	}
}

// push writes some of what is to be written, and returns how much that was.
// It gives the lock away meanwhile.
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

// opError dresses an error as those of net do.
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

// CloseWrite ends what goes out, unless that does not get through.
func (c *FaultConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.out.strikes(); s != Stall && s != Lose {
		closeWrite(c.conn)
	}
	return nil
}

// LocalAddr returns that of the connection below.
func (c *FaultConn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns that of the connection below.
func (c *FaultConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *FaultConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets that of Read, also of one that waits.
func (c *FaultConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.in, t, c.conn.SetReadDeadline)
}

// SetWriteDeadline sets that of Write, also of one that waits.
func (c *FaultConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.out, t, c.conn.SetWriteDeadline)
}

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
