package connection

import (
	"sync"
	"time"

	"github.com/nacre-ssh/nacre/connection/internal/deadline"
)

// Channel is a channel of a connection, RFC 4254 section 5: a [net.Conn] in all but its
// addresses, with stderr as a second stream beside.
//
// Both streams of received data share the channel's window: a program that reads only one of the
// two stops both once the window is full of the other's data. So read both streams, or close one
// for reading with [Channel.CloseRead] or [Stderr.Close].
//
// A read returns data that has arrived before anything else. Then the read returns io.EOF when
// the peer has sent EOF or closed the channel, and the cause when the connection was lost. After
// a deadline, reads and writes return os.ErrDeadlineExceeded until a new deadline is set.
type Channel struct {
	conn     *Conn
	id       uint32 // our number, never used twice while a connection lasts
	requests requestQueue

	opened    chan struct{} // closed when the peer has answered our open
	openErr   error         // valid after opened
	early     bool          // opened early: remote was used before the answer
	confirmed bool          // of the read loop: the peer may use id

	done    chan struct{} // closed at the end, see Done
	doneErr error         // valid after done
	givenUp chan struct{} // closed with closed: given up, nobody waits for the peer any more

	// The receiving half.
	mu           sync.Mutex
	stdout       stream
	stderr       Stderr
	window       int // bytes that the peer may still send
	held         int // bytes that were received and not read yet
	limit        int // of window and held together; see round
	round        round
	eof          bool
	afterEOF     bool  // data for a reader has come after EOF
	abandoned    bool  // nobody waits for the answer to our open any more
	closed       bool  // by us: nothing is delivered any more
	err          error // why the connection was lost
	readDeadline deadline.Deadline

	// The sending half, which conn.out.mu guards.
	remote        uint32 // the peer's number
	sendWindow    int64  // bytes that we may still send; an early channel may owe some
	sendMax       uint32 // bytes in a packet
	sendable      sync.Cond
	writing       bool      // some write has the turn, the others wait on sendable
	wantsRoom     bool      // the write in turn waits on conn.out.room
	wrote         time.Time // when the last large write was over
	directCost    float64   // of the last direct write, in nanoseconds for each byte; 0 before the first
	sentEOF       bool      // CloseWrite
	closeErr      error     // why CLOSE was sent
	credit        uint32
	replies       replyQueue
	writeDeadline deadline.Deadline
}

// Stderr is the second stream of a channel: extended data of type 1, RFC 4254 section 5.2.
// Stderr shares the deadlines of its channel and, for reads, the window.
type Stderr struct {
	stream
	channel *Channel
}

func (c *Conn) newChannel(h RequestFunc) *Channel {
	ch := &Channel{
		conn:    c,
		window:  c.config.Window,
		limit:   c.config.Window,
		opened:  make(chan struct{}),
		done:    make(chan struct{}),
		givenUp: make(chan struct{}),
	}
	ch.requests = requestQueue{conn: c, channel: ch, handler: h}
	ch.stdout.ready.L = &ch.mu
	ch.stderr.ready.L = &ch.mu
	ch.stderr.channel = ch
	ch.sendable.L = &c.out.mu
	return ch
}

// Stderr returns the channel's second stream.
func (c *Channel) Stderr() *Stderr { return &c.stderr }

// CloseRead discards ordinary data, waiting or yet to come. Reads fail. The peer gets window for
// the data and is not slowed down.
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

// CloseWrite sends EOF behind the data written before, and never waits: a write that waits for
// window fails. Requests can still be sent.
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

// Close sends CLOSE behind the data written before, and never waits. Unread data is discarded,
// all calls on the channel fail from now on, and requests of the peer that come later are not
// handled. Further calls return nil.
func (c *Channel) Close() error {
	c.discard() // first, so that no reader takes the peer's answer for a regular end
	c.sendClose(errChannelClosed)
	return nil
}

// discard ends the receiving half: from now on the peer's messages are swallowed.
func (c *Channel) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.givenUp)
	}
	c.stdout.close()
	c.stderr.close()
	c.readDeadline.Stop()
}

// sendClose sends CLOSE, once, and ends the sending half.
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

// endSending fails all calls that wait to send or for an answer. The caller holds conn.out.mu.
func (c *Channel) endSending(why error) {
	c.replies.fail(why)
	c.writeDeadline.Stop()
	c.sendable.Broadcast()
	c.conn.out.room.Broadcast() // requests wait there too
}

// Done returns a Go channel that is closed at the end of the channel: when the peer has closed
// the channel or the connection has ended, and all requests that arrived before have been
// handled. So a handler must not wait for Done. After [Channel.Close] the end comes with the
// answer of the peer.
func (c *Channel) Done() <-chan struct{} { return c.done }

// AtEOF reports whether the peer has sent EOF and no data after. All data of the peer can be read
// then, whatever becomes of the connection.
func (c *Channel) AtEOF() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eof && !c.afterEOF
}

// Wait blocks until [Channel.Done] is closed, or until our own [Channel.Close], for which the
// error is [net.ErrClosed]. Wait returns nil when the peer closed the channel, the cause when
// the connection ended first, the [*OpenError] of an early channel that the peer refused, and a
// [*ProtocolError] when the peer sent data after its EOF: the data was dropped.
func (c *Channel) Wait() error {
	select {
	case <-c.done:
	case <-c.givenUp:
		select {
		case <-c.done:
		default:
			return errChannelClosed
		}
	}
	return c.doneErr
}

// ended is the last event of a channel, after its removal from the connection's table.
func (c *Channel) ended(err error) {
	c.requests.finish(func() {
		c.doneErr = err
		close(c.done)
	})
}

// lost tells the channel of an end without a CLOSE: by the end of the connection, or by a
// refusal.
func (c *Channel) lost(err error) {
	c.conn.out.mu.Lock()
	if c.closeErr == nil {
		c.closeErr = err
	}
	c.endSending(err)
	c.conn.out.mu.Unlock()

	c.mu.Lock()
	c.err = err
	c.readDeadline.Stop()
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

// SetReadDeadline sets the deadline of reads of both streams, including reads that wait already.
// A WriteTo that waits for its writer has no deadline.
func (c *Channel) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errChannelClosed
	}
	c.readDeadline.Set(t, &c.mu, c.wakeReaders)
	return nil
}

// SetWriteDeadline sets the deadline of writes, including writes that wait already.
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
	c.writeDeadline.Set(t, &o.mu, c.wakeWriters)
	return nil
}
