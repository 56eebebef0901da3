package connection

import (
	"io"
	"math"
	"os"
	"time"
)

// extendedStderr is SSH_EXTENDED_DATA_STDERR, RFC 4254 section 5.2.
const extendedStderr = 1

// maxSend bounds the data of one packet that we send, whatever the peer
// allows: it is copied while the outbox is locked.
const maxSend = 64 << 10

// giveBack is the part of the window that is read before the peer gets it
// back, and mostBack the most of it in bytes: often enough that it does not run
// dry, seldom enough that few packets do it.
const (
	giveBack = 8
	mostBack = 512 << 10
)

// A round is the time in which the peer uses up the window that it had at the
// beginning: at least a round trip, since what it sends next was granted within
// the round. With a window that is too small for the way a round is about one
// round trip, and twice the window brings twice the rate. So the window doubles
// after a round that was faster, in bytes a second, than any for which it grew
// before, by a quarter or more; the first one is for a try. No round trip is
// measured for this: where source, way or reader are the limit, the rate stays
// as it is, and so does the window.
//
// In a round of less than shortRound the window is no limit worth lifting, and
// one of more than longRound is no round trip.
const (
	shortRound = 5 * time.Millisecond
	longRound  = 2 * time.Second
)

// round is the round of a channel's window that is under way.
type round struct {
	began time.Time // zero before the first
	bytes int       // the window that the peer had
	left  int       // of bytes
	held  int       // the most that has waited to be read
	least int       // and the least
	grew  bool      // the window has, at the beginning: its rate is not settled
	best  float64   // bytes a second of the fastest round, for which the window grew
}

// receive takes data from the peer. A nil stream stands for a type of extended
// data that nobody knows. What nobody will read is discarded here and given
// back as window. Data after EOF comes too late for the reader and is discarded,
// too, but Wait tells. It gets window because servers that send it (Twisted Conch
// 22.4 says EOF before what it still has in its buffer) close the channel after
// it, and would wait for ever otherwise.
func (c *Channel) receive(s *stream, data []byte) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	if len(data) > c.conn.config.MaxPacket || len(data) > c.window {
		window := c.window
		c.mu.Unlock()
		return protocolErrorf("%d bytes for a channel whose window is %d and whose largest packet is %d",
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
		c.round = round{best: c.round.best} // this says nothing of a reader
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

// tune counts n bytes of the peer in its round, sets the limit of the window by
// rounds that end, and returns grant's result. A reader that lets a window fill
// which has grown, or has more than the first one waiting for a whole round, gets
// that again; as SSH cannot take window back, it takes effect while the reader
// reads. The caller holds mu.
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

// consume counts bytes that need no room any more, and returns grant's result,
// or 0 after EOF, when an honest peer has no use for window. The caller holds mu.
func (c *Channel) consume(n int) int {
	c.held -= n
	c.round.least = min(c.round.least, c.held)
	if c.eof {
		return 0
	}
	return c.grant()
}

// grant returns the window to give to the peer, 0 when it is not worth a packet
// yet. The caller holds mu, and passes the result to giveCredit after it has
// released it.
func (c *Channel) grant() int {
	credit := c.limit - c.window - c.held
	if credit <= 0 || credit < min(c.limit/giveBack, mostBack) {
		return 0
	}
	c.window += credit
	return credit
}

// giveCredit has the write loop send a window adjustment.
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
	c.credit += uint32(credit) // at most the window, which fits
}

// awaitData blocks until s has data or has none for ever; direct tells that
// s.into is the caller's. Readers are served in the order in which they came.
// The caller holds mu.
func (c *Channel) awaitData(s *stream, direct bool) error {
	turn := s.came
	s.came++
	defer s.leave()
	for {
		switch {
		case direct && s.filled > 0:
			return nil
		case c.closed:
			return errChannelClosed
		case s.discard:
			return errReadClosed
		case c.readDeadline.passed:
			return os.ErrDeadlineExceeded
		case s.size > 0 && turn == s.left:
			return nil
		case s.size > 0: // for somebody who waits already
		case c.eof:
			return io.EOF
		case c.err != nil:
			return c.err
		}
		s.waiting++
		s.ready.Wait()
		s.waiting--
	}
}

func (c *Channel) wakeReaders() {
	c.stdout.ready.Broadcast()
	c.stderr.ready.Broadcast()
}

func (c *Channel) read(s *stream, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	direct := s.size == 0 && s.into == nil && s.waiting == 0
	if direct {
		s.into = p
	}
	err := c.awaitData(s, direct)
	if direct {
		n := s.filled
		s.into, s.filled = nil, 0
		if n > 0 {
			c.mu.Unlock()
			return n, nil
		}
	}
	if err != nil {
		c.mu.Unlock()
		return 0, err
	}
	n := s.read(p)
	credit := c.consume(n)
	c.mu.Unlock()
	c.giveCredit(credit)
	return n, nil
}

func (c *Channel) writeTo(s *stream, w io.Writer) (total int64, err error) {
	for err == nil {
		c.mu.Lock()
		if err = c.awaitData(s, false); err != nil {
			c.mu.Unlock()
			break
		}
		g := s.take()
		s.size -= len(g.unread())
		c.mu.Unlock()

		var n int
		n, err = w.Write(g.unread())
		switch left := len(g.unread()); {
		case n < 0 || n > left: // like io.Copy, do not trust writers either
			n, err = 0, errInvalidWrite
		case n < left && err == nil:
			err = io.ErrShortWrite
		}
		total += int64(n)
		c.giveCredit(c.written(s, g, n))
	}
	if err == io.EOF {
		err = nil
	}
	return total, err
}

// written settles a segment of which n bytes have been written elsewhere, and
// returns the credit for it. What was not written is to be read again.
func (c *Channel) written(s *stream, g *segment, n int) (credit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.start += n
	if left := len(g.unread()); left > 0 && !s.discard {
		s.untake(g)
		s.size += left
		s.ready.Broadcast()
	} else {
		n += left
		g.release()
	}
	return c.consume(n)
}

// receiveAdjust takes window from the peer. After our EOF or CLOSE nobody has
// any use for it.
func (c *Channel) receiveAdjust(n uint32) error {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.sentEOF || c.closeErr != nil {
		return nil
	}
	if c.sendWindow+int64(n) > math.MaxUint32 {
		return protocolErrorf("window of %d bytes enlarged by %d", c.sendWindow, n)
	}
	c.sendWindow += int64(n)
	c.sendable.Broadcast()
	return nil
}

// write sends p.
func (c *Channel) write(p []byte, extended uint32) (n int, err error) {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := c.awaitTurn(); err != nil {
		return 0, err
	}
	c.writing = true
	flies := c.flies(len(p))
	if len(p) >= minFlight {
		defer func() { c.wrote = time.Now() }()
	}
	for len(p) > 0 {
		if err = c.awaitWindow(); err != nil {
			break
		}
		var size int
		if flies && !o.writing {
			size = c.fly(extended, p)
		} else {
			size = int(min(int64(len(p)), c.sendWindow, int64(c.sendMax)))
			o.pushData(c.remote, extended, p[:size])
			c.sendWindow -= int64(size)
		}
		n += size
		p = p[size:]
		o.passOn()
	}
	c.writing = false
	c.sendable.Broadcast()
	return n, err
}

// awaitTurn blocks while another write is not finished. The caller holds
// conn.out.mu, as for the methods that follow.
func (c *Channel) awaitTurn() error {
	for {
		if err := c.writeError(); err != nil || !c.writing {
			return err
		}
		c.sendable.Wait()
	}
}

// awaitWindow blocks until the peer and the outbox both have room for data.
func (c *Channel) awaitWindow() error {
	o := &c.conn.out
	for {
		if err := c.writeError(); err != nil {
			o.passOn()
			return err
		}
		switch {
		case c.sendWindow <= 0:
			c.sendable.Wait()
		case o.size() >= dataLimit:
			c.wantsRoom = true
			o.room.Wait()
			c.wantsRoom = false
		default:
			return nil
		}
	}
}

// writeError is why data cannot be sent.
func (c *Channel) writeError() error {
	switch o := &c.conn.out; {
	case c.closeErr != nil:
		return c.closeErr
	case o.err != nil:
		return o.err
	case c.sentEOF:
		return errWriteClosed
	case c.writeDeadline.passed:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Channel) wakeWriters() {
	c.sendable.Broadcast()
	if c.wantsRoom {
		c.conn.out.room.Broadcast()
	}
}
