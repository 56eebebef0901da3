// Package connection is the SSH connection protocol, RFC 4254 sections 4 and
// 5: it multiplexes channels and global requests over one packet transport.
//
// It asks no more of that transport than the three methods of [Transport], so
// it runs over package transport of this module, over a control-master
// socket, or over a pipe in a test. What the channels are for (sessions,
// forwarded ports) is not its business: package channel builds those from the
// exported names alone, and a program that speaks a channel type of its own
// does the same. A program that only runs commands or forwards ports has no
// need of this package.
//
// A [Conn] runs a goroutine that reads, and one that writes while there is
// something to write; what is written to a channel in large pieces is sent by the
// goroutine that writes it. The reader never writes and never waits for the
// program: a peer's data waits in the channel's window, its requests and opens
// run their handlers on goroutines that live no longer than there is something to
// handle. All methods of all types may be called concurrently.
//
// After the end of a connection every call returns an error for which
// errors.Is(err, net.ErrClosed) holds, and which wraps what ended it.
package connection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// closeGrace bounds each of the two waits of [Conn.Close]: for what is queued
// to be written, and for the two loops to end.
const closeGrace = 50 * time.Millisecond

// readGrace is how long the reader goes on after a write has failed: a peer
// that has sent its last output and gone leaves that output to be read.
const readGrace = time.Second

// Transport is what a connection needs from below: packets that are already
// authenticated and in order, whose first byte is a message number of RFC
// 4254.
//
// ReadPacket is called by one goroutine, and WritePacket by one at a time. The
// slice that ReadPacket returns is used until the next call, the one that
// WritePacket gets is not to be kept after the return. WritePacket may block, as
// it does in a key re-exchange. Close does not block, and makes both return.
//
// A Transport can have more methods:
//   - WritePackets(packets ...[]byte) error gets several packets at once, none of
//     which is to be kept after the return, so that one system call can send them.
//   - TryWritePackets(packets [][2][]byte) (n int, more bool, err error), of a
//     transport that has WritePackets as well, takes packets of channel data in two
//     parts, a header and data, on the goroutine that has them, and does not wait.
//     The first n of them it has taken; WritePackets gets the others, and is called,
//     if with no packets, when more is true. The connection makes no other write
//     meanwhile. A transport that embeds another one and has WritePackets of its
//     own needs this as well, or a field in place of the embedding.
//   - Unimplemented() error is told of a message that nobody knows, before the
//     next ReadPacket, to answer as RFC 4253 section 11.4 demands; otherwise such
//     messages are passed over.
//   - ReadPacketNotify(waiting func()) ([]byte, error) is called in place of
//     ReadPacket, and calls waiting before it waits for the peer, so that many
//     packets can be dealt with before anybody is woken. That it waits twice
//     in one call is a sign of life: something came, if not for us.
//   - Opened() <-chan struct{} says when there is something to read: nothing is
//     read before that channel is closed, nor is the peer asked for a sign of
//     life. So a connection can write while the layer below is still at work.
type Transport interface {
	ReadPacket() ([]byte, error)
	WritePacket(packet []byte) error
	Close() error
}

// Conn is one end of a connection.
type Conn struct {
	t      Transport
	config Config
	out    outbox

	// tryWrite is a method of t, or nil: see Transport.
	tryWrite func(packets [][2][]byte) (n int, more bool, err error)

	// ctx is what handlers get; it ends with the connection.
	ctx    context.Context
	cancel context.CancelCauseFunc

	readDone chan struct{} // closed when the read loop has ended
	done     chan struct{} // closed when every waiting call has been told of the end
	heard    atomic.Uint32 // signs of life since the last keepalive tick; counts no further than 2

	requests requestQueue // the peer's global requests

	gathers bool      // of the read loop, like toWake: see wake
	toWake  []*stream // with readers that wait

	mu              sync.Mutex
	channels        map[uint32]*Channel // by our number; nil without any
	nextID          uint32
	deciding        int // the peer's opens that no handler has answered yet
	answering       int // those whose answer waits for room to be sent
	openHandlers    map[string][]*openHandler
	requestHandlers map[string][]*requestHandler
	keepAlive       *time.Timer // nil when off
	closing         bool        // Close has been called
	ended           bool
	writeErr        error // what the write loop has failed with, before the end
	cause           error // nil also when our own Close was the end
}

// New starts a connection over t and owns t from here on. A nil config means
// the defaults. The connection runs until [Conn.Close] or the failure of t.
func New(t Transport, config *Config) *Conn {
	c := &Conn{
		t:        t,
		config:   config.withDefaults(),
		readDone: make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if t, ok := t.(interface {
		WritePackets(packets ...[]byte) error
		TryWritePackets(packets [][2][]byte) (n int, more bool, err error)
	}); ok {
		c.tryWrite = t.TryWritePackets
	}
	loop := c.writeLoop // once, so that no start allocates
	c.out.init(func() { go loop() })
	c.requests.conn = c
	go c.readLoop()
	return c
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Wait blocks until the connection has ended and returns the cause: nil when
// it was our own [Conn.Close], the transport's error when that failed, a
// [*ProtocolError] or a [*KeepAliveError].
func (c *Conn) Wait() error {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close ends the connection and everything on it. What is already queued to be
// written gets 50 ms for it; the call takes no more than about 100 ms, whatever
// the peer does. It may be called from handlers, and more than once: further
// calls return nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.out.close()
	grace, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = c.out.flush(grace) // what is not written by then never will be
	err := c.end(nil)
	// A caller that is itself inside the transport, for example in a host-key
	// verifier, keeps a loop from ending until it returns.
	grace, cancel = context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if c.out.ended(grace) == nil {
		select {
		case <-c.readDone:
		case <-grace.Done():
		}
	}
	return err
}

// Flush waits until everything that was queued before the call has been handed
// to the transport, whose WritePacket has then returned. When ctx ends first, it
// returns ctx's error, and the writing goes on.
func (c *Conn) Flush(ctx context.Context) error { return c.out.flush(ctx) }

// end ends the connection for the given cause, unless it has ended already,
// and returns the error of closing the transport.
func (c *Conn) end(cause error) error {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil
	}
	c.ended = true
	if !c.closing {
		c.cause = c.firstCause(cause)
	}
	cause = c.cause
	channels := c.channels
	c.channels = nil
	if c.keepAlive != nil {
		c.keepAlive.Stop()
	}
	c.mu.Unlock()

	err := closedBy(cause)
	c.out.stop(err)
	for _, ch := range channels {
		ch.lost(err)
	}
	c.cancel(err)
	c.requests.finish(nil)
	close(c.done)
	return c.t.Close()
}

// firstCause makes calls that wait for the peer fail with what those that write
// have failed with before, if they have: the end of what could be read says
// nothing beside that, and a farewell of the peer's says more. The caller holds
// mu.
func (c *Conn) firstCause(cause error) error {
	switch first := c.writeErr; {
	case first == nil || cause.Error() == first.Error():
		return cause
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return first
	default:
		return fmt.Errorf("%w (after a write: %w)", cause, first)
	}
}

// closed returns what a call gets after the end of the connection.
func (c *Conn) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return closedBy(c.cause)
}

func (c *Conn) readLoop() {
	defer close(c.readDone)
	defer c.wakeReaders()
	if t, ok := c.t.(interface{ Opened() <-chan struct{} }); ok {
		select {
		case <-t.Opened():
		case <-c.done:
			return
		}
	}
	c.startKeepAlive()
	read := c.t.ReadPacket
	if t, ok := c.t.(interface {
		ReadPacketNotify(waiting func()) ([]byte, error)
	}); ok {
		c.gathers = true
		waits := 0
		waiting := func() {
			c.wakeReaders()
			if waits++; waits > 1 { // a key exchange, say, in which nothing can be asked
				c.hear()
			}
		}
		read = func() ([]byte, error) {
			waits = 0
			return t.ReadPacketNotify(waiting)
		}
	}
	for {
		packet, err := read()
		if err != nil {
			c.end(transportError(err))
			return
		}
		c.hear()
		if err := c.dispatch(packet); err != nil {
			c.end(err)
			return
		}
	}
}

// wake wakes those who wait for the data of a stream: now, or, since that costs
// about as much as decrypting a packet, when all packets that have come together
// were dealt with. It is the read loop's, as wakeReaders is.
func (c *Conn) wake(s *stream) {
	if !c.gathers {
		s.ready.Broadcast()
	} else if !s.due {
		s.due = true
		c.toWake = append(c.toWake, s)
	}
}

// wakeReaders is called before the read loop waits for anything.
func (c *Conn) wakeReaders() {
	for i, s := range c.toWake {
		s.due = false
		s.ready.Broadcast()
		c.toWake[i] = nil
	}
	c.toWake = c.toWake[:0]
}

// writeLoop lives while there is something to write: an idle connection has the
// read loop alone.
func (c *Conn) writeLoop() {
	several, _ := c.t.(interface {
		WritePackets(packets ...[]byte) error
	})
	for b := c.out.take(); b != nil; b = c.out.take() {
		var err error
		if packets := b.split(); several != nil {
			err = several.WritePackets(packets...)
		} else {
			for i := 0; i < len(packets) && err == nil; i++ {
				err = c.t.WritePacket(packets[i])
			}
		}
		b.release()
		if err != nil {
			c.writeFailed(transportError(err))
			return
		}
	}
}

// writeFailed lets every sender fail at once, and the reader take what the
// peer had sent before it went.
func (c *Conn) writeFailed(cause error) {
	c.mu.Lock()
	if c.ended {
		cause = c.cause
	} else {
		c.writeErr = cause
	}
	c.mu.Unlock()
	c.out.fail(closedBy(cause))
	timer := time.AfterFunc(readGrace, func() { c.end(cause) })
	<-c.done
	timer.Stop()
}

// transportError makes an end of the transport, even an orderly one, an
// unexpected end: io.EOF is for the streams of channels that ended well.
func transportError(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("connection: transport ended: %w", io.ErrUnexpectedEOF)
	}
	return err
}
