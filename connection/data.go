package connection

import (
	"io"
	"os"
	"sync"
	"time"
)

// extendedStderr is SSH_EXTENDED_DATA_STDERR, RFC 4254 section 5.2.
const extendedStderr = 1

// maxSend bounds the data of a packet of ours, whatever the peer allows: the data is copied
// while the outbox is locked.
const maxSend = 64 << 10

// smallSource and largeSource are the sizes of the reads of ReadFrom. A source that fills its
// buffer is read by as much as a direct write takes. Any other source may pause, with data in a
// large buffer unsent.
const (
	smallSource = 32 << 10
	largeSource = maxDirect
)

var (
	smallSources = sync.Pool{New: func() any { return newSource(smallSource) }}
	largeSources = sync.Pool{New: func() any { return newSource(largeSource) }}
)

func newSource(size int) *[]byte {
	b := make([]byte, size)
	return &b
}

// Read reads ordinary data.
func (c *Channel) Read(p []byte) (int, error) { return c.read(&c.stdout, p) }

// Read reads extended data of type 1.
func (e *Stderr) Read(p []byte) (int, error) { return e.channel.read(&e.stream, p) }

func (c *Channel) read(s *stream, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	lent := s.size == 0 && s.into == nil && s.waiting == 0
	if lent {
		s.into = p
	}
	err := c.awaitData(s, lent)
	if lent {
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

// awaitData blocks until s has data or ends; lent tells that s.into is the caller's. Readers
// are served in the order of their calls. The caller holds mu.
func (c *Channel) awaitData(s *stream, lent bool) error {
	turn := s.came
	s.came++
	defer s.leave()
	for {
		switch {
		case lent && s.filled > 0:
			return nil
		case c.closed:
			return errChannelClosed
		case s.discard:
			return errReadClosed
		case c.readDeadline.Passed:
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

// WriteTo writes ordinary data to w until the end of the stream, without a buffer between. The
// peer gets window for all data that w has taken. Data that a failing w did not take stays to be
// read.
func (c *Channel) WriteTo(w io.Writer) (int64, error) { return c.writeTo(&c.stdout, w) }

// WriteTo is [Channel.WriteTo] for extended data of type 1.
func (e *Stderr) WriteTo(w io.Writer) (int64, error) { return e.channel.writeTo(&e.stream, w) }

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

// written settles a segment of which a writer has taken n bytes, and returns the credit for
// them. The rest is to be read again.
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

// Write sends ordinary data. Write returns when all of p is queued to be written, or written,
// and waits for the peer's window and for earlier packets as long as necessary. The bytes of
// concurrent writes do not mix. A write that fails returns the number of bytes queued before.
func (c *Channel) Write(p []byte) (int, error) { return c.write(p, 0) }

// Write sends extended data of type 1, in all else as [Channel.Write]. RFC 4254 has such data
// only from server to client.
func (e *Stderr) Write(p []byte) (int, error) { return e.channel.write(p, extendedStderr) }

// write sends p.
func (c *Channel) write(p []byte, extended uint32) (n int, err error) {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := c.awaitTurn(); err != nil {
		return 0, err
	}
	c.writing = true
	direct, refused := c.directWrites(len(p)), false
	if len(p) >= minDirect {
		defer func() { c.wrote = time.Now() }()
	}
	for len(p) > 0 {
		if err = c.awaitWindow(); err != nil {
			break
		}
		var size int
		if direct && !refused && !o.writing {
			size, refused = c.writeDirect(extended, p)
		} else {
			refused = false
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

// ReadFrom sends the data of r until the end of r. The end of the channel is noticed when r next
// returns.
func (c *Channel) ReadFrom(r io.Reader) (n int64, err error) {
	pool := &smallSources
	for {
		buffer := pool.Get().(*[]byte)
		size, readErr := r.Read(*buffer)
		if size < 0 || size > len(*buffer) {
			return n, errInvalidRead
		}
		written, err := c.Write((*buffer)[:size])
		pool.Put(buffer)
		n += int64(written)
		switch {
		case err != nil:
			return n, err
		case readErr == io.EOF:
			return n, nil
		case readErr != nil:
			return n, readErr
		}
		if pool = &smallSources; size == len(*buffer) {
			pool = &largeSources // the source has more
		}
	}
}

// awaitTurn blocks while another write is not finished. The caller holds conn.out.mu, as for the
// methods that follow.
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
	case c.writeDeadline.Passed:
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
