package connection

import (
	"math"
	"time"
)

// giveBack is the part of the window to be read before the peer gets the part back, and mostBack
// the bound of that part in bytes: often enough that the window does not run dry, seldom enough
// that few packets are needed.
const (
	giveBack = 8
	mostBack = 512 << 10
)

// A round is the time in which the peer uses up the window at the beginning of the round. A
// round takes at least a round trip, since window for later data was granted within the round.
// While the window is too small for the path, a round takes about a round trip, and twice the
// window brings twice the rate. So the window doubles after a round whose rate, in bytes a
// second, exceeds the rate of every round that made the window grow before by a quarter or more;
// the first doubling is a trial. No round trip is measured: where source, path or reader are the
// limit, the rate stays the same, and so does the window.
//
// In a round of less than shortRound the window limits too little to matter, and a round of more
// than longRound is no round trip.
const (
	shortRound = 5 * time.Millisecond
	longRound  = 2 * time.Second
)

// round is the current round of a channel's window.
type round struct {
	began time.Time // zero before the first
	bytes int       // the peer's window at the beginning
	left  int       // of bytes
	held  int       // most bytes waiting to be read in the round
	least int       // fewest bytes waiting in the round
	grew  bool      // the window has, at the beginning: its rate is not settled
	best  float64   // bytes a second of the fastest round that made the window grow
}

// receive takes data from the peer; a nil stream stands for an unknown type of extended data.
// Data that nobody will read is discarded and given back as window. Data after EOF comes too
// late for the reader and is discarded too, but Wait tells. The peer still gets window for the
// late data: servers that send late data (Twisted Conch 22.4 sends EOF before the rest of its
// buffer) close the channel afterwards, and would otherwise wait for ever.
func (c *Channel) receive(s *stream, data []byte) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	if len(data) > c.conn.config.MaxPacket || len(data) > c.window {
		window := c.window
		c.mu.Unlock()
		return protocolErrorf("data of %d bytes exceeds the window of %d bytes or the packet size of %d",
			len(data), window, c.conn.config.MaxPacket)
	}
	c.window -= len(data)
	c.held += len(data)
	if c.eof && s != nil && !s.discard && len(data) > 0 {
		c.afterEOF = true
	}
	var credit int
	if s == nil || s.discard || c.eof {
		c.held -= len(data)
		c.round = round{best: c.round.best} // discarded data tells nothing about the reader
		credit = c.grant()
	} else {
		c.held -= s.append(data)
		if s.waiting > 0 {
			c.conn.wake(s)
		}
		credit = c.tune(len(data))
	}
	c.mu.Unlock()
	c.giveCredit(credit)
	return nil
}

// tune counts n bytes of the peer in the current round, sets the window's limit at the end of a
// round, and returns grant's result. A reader that lets a grown window fill, or leaves more than
// the first window unread for a whole round, gets the first window again. SSH cannot take window
// back, so the window shrinks while the reader reads. The caller holds mu.
func (c *Channel) tune(n int) int {
	r, first, most := &c.round, c.conn.config.Window, c.conn.config.MaxWindow
	if c.held > c.limit-c.limit/giveBack && c.limit > first {
		c.limit, r.best = first, 0
	}
	r.held = max(r.held, c.held)
	r.left -= n
	if r.left >= 0 && !r.began.IsZero() {
		return c.grant()
	}
	next := round{began: time.Now(), best: r.best, least: c.held}
	took := next.began.Sub(r.began)
	switch {
	case r.began.IsZero():
	case r.least > first:
		c.limit, next.best = first, 0
	case !r.grew && took >= shortRound && took <= longRound && r.held <= c.limit/2:
		if rate := float64(r.bytes-r.left) / took.Seconds(); rate >= r.best*5/4 && c.limit < most {
			c.limit += min(c.limit, most-c.limit) // twice, without an overflow
			next.best, next.grew = rate, true
		}
	}
	credit := c.grant()
	next.bytes, next.left = c.window, c.window
	*r = next
	return credit
}

// receiveEOF ends both streams. A second EOF changes nothing.
func (c *Channel) receiveEOF() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eof = true
	c.wakeReaders()
}

func (c *Channel) hasLateData() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.afterEOF
}

// consume counts bytes that need no room any more, and returns grant's result, or 0 after EOF,
// when an honest peer has no use for window. The caller holds mu.
func (c *Channel) consume(n int) int {
	c.held -= n
	c.round.least = min(c.round.least, c.held)
	if c.eof {
		return 0
	}
	return c.grant()
}

// grant returns the window to give to the peer, or 0 while a packet is not worthwhile. The
// caller holds mu, and passes the result to giveCredit after releasing mu.
func (c *Channel) grant() int {
	credit := c.limit - c.window - c.held
	if credit <= 0 || credit < min(c.limit/giveBack, mostBack) {
		return 0
	}
	c.window += credit
	return credit
}

// giveCredit makes the write loop send a window adjustment.
func (c *Channel) giveCredit(credit int) {
	if credit == 0 {
		return
	}
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || c.closeErr != nil {
		return
	}
	if c.credit == 0 {
		o.credit = append(o.credit, c)
		o.run()
	}
	c.credit += uint32(credit) // at most the window, so no overflow
}

// receiveAdjust takes window from the peer. After our EOF or CLOSE nobody needs window.
func (c *Channel) receiveAdjust(n uint32) error {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.sentEOF || c.closeErr != nil {
		return nil
	}
	if c.sendWindow+int64(n) > math.MaxUint32 {
		return protocolErrorf("window of %d bytes overflows by an adjustment of %d", c.sendWindow, n)
	}
	c.sendWindow += int64(n)
	c.sendable.Broadcast()
	return nil
}
