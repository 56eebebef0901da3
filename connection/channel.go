package connection

import (
	"io"
	"sync"
	"time"
)

// Channel is one channel of a connection, RFC 4254 section 5. It is a
// [net.Conn] in all but its addresses, with stderr as a second stream beside.
//
// Both streams of received data share the channel's window: a program that
// reads one and leaves the other alone stops both once the window is full of
// the other's data. So each of the two is to be read, or closed for reading
// with [Channel.CloseRead] or [Stderr.Close].
//
// A read returns what has arrived before anything else. Then it returns io.EOF
// when the peer has sent EOF or closed the channel, and the cause when the
// connection was lost. After a deadline, reads and writes return
// os.ErrDeadlineExceeded until a new deadline is set.
type Channel struct {
	conn     *Conn
	id       uint32 // our number, never used twice while a connection lasts
	requests requestQueue

	opened    chan struct{} // closed when the peer has answered our open
	openErr   error         // valid after opened
	presumed  bool          // remote was presumed, and used before the answer
	confirmed bool          // of the read loop: the peer may use id

	done    chan struct{} // closed at the end, see Done
	doneErr error         // valid after done
	given   chan struct{} // closed with closed: given up, nobody is to wait for the peer

	// The receiving half.
	mu           sync.Mutex
	stdout       stream
	stderr       Stderr
	window       int // what the peer may still send
	held         int // what it has sent and nobody has read yet
	limit        int // of both together; see round
	round        round
	eof          bool
	afterEOF     bool  // data has come that nobody could read any more
	abandoned    bool  // nobody waits for the answer to our open any more
	closed       bool  // by us: nothing is delivered any more
	err          error // why it was lost
	readDeadline deadline

	// The sending half, which conn.out.mu guards.
	remote        uint32 // the peer's number
	sendWindow    int64  // what the peer allows us to send; a presumed channel may owe some
	sendMax       uint32 // the same for one packet
	sendable      sync.Cond
	writing       bool      // a write has the turn, the others wait on sendable
	wantsRoom     bool      // the write that has the turn waits on conn.out.room
	wrote         time.Time // when the last large write was over
	flightCost    float64   // of a whole flight, in nanoseconds for each byte; 0 before the first
	sentEOF       bool      // CloseWrite
	closeErr      error     // set when CLOSE has been sent: why
	credit        uint32
	replies       replyQueue
	writeDeadline deadline
}

// Stderr is the second stream of a channel: extended data of type 1, RFC 4254
// section 5.2. It has the deadlines of its channel and, for reads, shares its
// window.
type Stderr struct {
	stream
	channel *Channel
}

func (c *Conn) newChannel(h RequestFunc) *Channel {
	ch := &Channel{
		conn:   c,
		window: c.config.Window,
		limit:  c.config.Window,
		opened: make(chan struct{}),
		done:   make(chan struct{}),
		given:  make(chan struct{}),
	}
	ch.requests = requestQueue{conn: c, channel: ch, handler: h}
	ch.stdout.ready.L = &ch.mu
	ch.stderr.ready.L = &ch.mu
	ch.stderr.channel = ch
	ch.sendable.L = &c.out.mu
	return ch
}

// Read reads ordinary data.
func (c *Channel) Read(p []byte) (int, error) { return c.read(&c.stdout, p) }

// Read reads extended data of type 1.
func (e *Stderr) Read(p []byte) (int, error) { return e.channel.read(&e.stream, p) }

// WriteTo writes ordinary data to w until its end, without a buffer between.
// Window is given back for what w has taken. What w did not take, because it
// failed, stays to be read.
func (c *Channel) WriteTo(w io.Writer) (int64, error) { return c.writeTo(&c.stdout, w) }

// WriteTo is [Channel.WriteTo] for extended data of type 1.
func (e *Stderr) WriteTo(w io.Writer) (int64, error) { return e.channel.writeTo(&e.stream, w) }

// Write sends ordinary data. It returns when all of p is queued to be written,
// waiting for the peer's window and for earlier packets as long as it takes.
// The bytes of concurrent writes do not mix. A write that fails returns how
// many bytes were queued before.
func (c *Channel) Write(p []byte) (int, error) { return c.write(p, 0) }

// Write sends extended data of type 1, which RFC 4254 has only from server to
// client, in all else as [Channel.Write].
func (e *Stderr) Write(p []byte) (int, error) { return e.channel.write(p, extendedStderr) }

// ReadFrom sends what r returns until its end. The end of the channel is seen
// when r next returns something.
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
			pool = &largeSources // there is more where that came from
		}
	}
}

// Stderr returns the channel's second stream.
func (c *Channel) Stderr() *Stderr { return &c.stderr }

// CloseRead discards ordinary data, both what is waiting to be read and what
// comes later. The peer gets window for it and is not slowed down. Reads fail.
func (c *Channel) CloseRead() error { return c.closeRead(&c.stdout) }

// Close is [Channel.CloseRead] for extended data of type 1.
func (e *Stderr) Close() error { return e.channel.closeRead(&e.stream) }

func (c *Channel) closeRead(s *stream) error {
	c.mu.Lock()
	credit := c.consume(s.close())
	c.mu.Unlock()
	c.giveCredit(credit)
	return nil
}

// CloseWrite sends EOF after what has been written. It never waits: a write
// that waits for window fails. Requests can still be sent.
func (c *Channel) CloseWrite() error {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.sendError(c); err != nil {
		return err
	}
	if !c.sentEOF {
		c.sentEOF = true
		o.pushChannel(msgChannelEOF, c.remote)
		c.wakeWriters()
	}
	return nil
}

// Close sends CLOSE after what has been written, and never waits. What has
// arrived and was not read is discarded, all calls on the channel fail from
// now on, and requests that come after it are not handled. Further calls
// return nil.
func (c *Channel) Close() error {
	c.sendClose(errChannelClosed)
	c.discard()
	return nil
}

// discard ends the receiving half: from now on the peer's messages are
// swallowed.
func (c *Channel) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.given)
	}
	c.stdout.close()
	c.stderr.close()
	c.readDeadline.stop()
}

// sendClose sends CLOSE unless that has been done, and ends the sending half.
func (c *Channel) sendClose(why error) {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.closeErr == nil {
		c.closeErr = why
		o.pushChannel(msgChannelClose, c.remote)
		c.endSending(why)
	}
}

// endSending fails what waits to be sent or answered. The caller holds
// conn.out.mu.
func (c *Channel) endSending(why error) {
	c.replies.fail(why)
	c.writeDeadline.stop()
	c.sendable.Broadcast()
	c.conn.out.room.Broadcast() // requests wait there too
}

// Done returns a channel that is closed at the end of this one: when the peer
// has closed it or the connection has ended, and all requests that arrived
// before have been handled. So a handler must not wait for it. After
// [Channel.Close] it stays open until the peer answers.
func (c *Channel) Done() <-chan struct{} { return c.done }

// AtEOF tells whether the peer has said that it sends no more data, and has kept
// to it. All that it sent can be read then, whatever becomes of the connection.
func (c *Channel) AtEOF() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eof && !c.afterEOF
}

// Wait blocks until [Channel.Done] is closed, or until our own [Channel.Close],
// of which it returns [net.ErrClosed]. It returns nil when the peer closed the
// channel, the cause when the connection ended first, the [*OpenError] of a
// presumed channel that the peer refused, and a [*ProtocolError] when the peer
// sent data after its EOF, which was dropped.
func (c *Channel) Wait() error {
	select {
	case <-c.done:
	case <-c.given:
		select {
		case <-c.done:
		default:
			return errChannelClosed
		}
	}
	return c.doneErr
}

// ended is the last that happens to a channel, after it has been removed from
// the connection's table.
func (c *Channel) ended(err error) {
	c.requests.finish(func() {
		c.doneErr = err
		close(c.done)
	})
}

// lost tells the channel that it ended without a CLOSE: with the connection, or
// by a refusal.
func (c *Channel) lost(err error) {
	c.conn.out.mu.Lock()
	if c.closeErr == nil {
		c.closeErr = err
	}
	c.endSending(err)
	c.conn.out.mu.Unlock()

	c.mu.Lock()
	c.err = err
	c.readDeadline.stop()
	c.wakeReaders()
	c.mu.Unlock()
	c.ended(err)
}

// SetDeadline sets both deadlines. The zero time means none.
func (c *Channel) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of reads of both streams, of those that
// wait already too. It does not apply to a WriteTo that waits for its writer.
func (c *Channel) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errChannelClosed
	}
	c.readDeadline.set(t, &c.mu, c.wakeReaders)
	return nil
}

// SetWriteDeadline sets the deadline of writes, of those that wait already
// too.
func (c *Channel) SetWriteDeadline(t time.Time) error {
	o := &c.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.closeErr == errChannelClosed {
		return c.closeErr
	}
	if o.sendError(c) != nil {
		return nil // writes fail in any case, and reads may go on
	}
	c.writeDeadline.set(t, &o.mu, c.wakeWriters)
	return nil
}
