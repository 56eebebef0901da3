// Package connection speaks the SSH connection protocol, RFC 4254 sections 4 and 5: it
// multiplexes channels and global requests over one packet transport.
//
// The transport needs no more than the three methods of [Transport]: package transport of this
// module, a control-master socket and a pipe in a test all serve. The purpose of a channel
// (sessions, forwarded ports) is not known here. Package channel builds sessions and forwardings
// from the exported names alone, as a program does for a channel type of its own. Programs that
// only run commands or forward ports have no need of this package.
//
// A [Conn] runs a goroutine that reads, and another while there is something to write; a large
// write to a channel is sent by the caller's goroutine. The reader never writes and never waits
// for the program: data of the peer waits in the channel's window, and requests and opens of the
// peer run their handlers on goroutines that end when nothing is left to handle. All methods of
// all types may be called concurrently.
//
// After the end of a connection every call returns an error that wraps the cause, and for which
// errors.Is(err, net.ErrClosed) holds.
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

// closeGrace bounds each of the two waits of [Conn.Close]: for the queued packets to be written,
// and for the two loops to end.
const closeGrace = 50 * time.Millisecond

// readGrace is the time for which reading goes on after a write has failed: a peer that has sent
// its last output and gone leaves the output to be read.
const readGrace = time.Second

// Conn is one end of a connection.
type Conn struct {
	t      Transport
	powers powers // of t
	config Config
	out    outbox
	direct directWrite

	// The batch of the write loop, and its method send, bound once so that no batch allocates.
	sending   *batch
	sendBatch func() error

	// ctx is the context of all handlers, and ends with the connection.
	ctx    context.Context
	cancel context.CancelCauseFunc

	readDone chan struct{} // closed when the read loop has ended
	done     chan struct{} // closed when every waiting call has been told of the end
	heard    atomic.Uint32 // signs of life since the last keepalive tick; counts no further than 2

	requests requestQueue // the peer's global requests

	wakeups wakeups // of readers

	mu              sync.Mutex
	channels        map[uint32]*Channel // by our number; nil without any
	nextID          uint32
	deciding        int // the peer's opens that no handler has answered yet
	answering       int // opens of the peer whose answer waits for room to be sent
	openHandlers    map[string][]*OpenFunc
	requestHandlers map[string][]*RequestFunc
	keepAlive       *time.Timer // nil when off
	closing         bool        // Close has been called
	ended           bool
	writeErr        error // of the write loop, before the end
	cause           error // nil also when our own Close was the end
}

// New starts a connection over t, and owns t from here on. A nil config means the defaults. The
// connection runs until [Conn.Close] or the failure of t.
func New(t Transport, config *Config) *Conn {
	c := &Conn{
		t:        t,
		powers:   powersOf(t),
		config:   config.withDefaults(),
		readDone: make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.direct.init(c)
	c.sendBatch = func() error { return c.sending.send(t) }
	c.addHandlers()
	loop := c.writeLoop // bound once: each use of a method value allocates
	c.out.init(func() { go loop() })
	c.requests.conn = c
	go c.readLoop()
	return c
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Wait blocks until the connection has ended and returns the cause: nil for our own
// [Conn.Close], the transport's error, a [*ProtocolError] or a [*KeepAliveError].
func (c *Conn) Wait() error {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close ends the connection and everything on it. Packets that are queued get 50 ms to be
// written; the call takes no more than about 100 ms, whatever the peer does. Close may be called
// from handlers, and more than once: further calls return nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.out.close()
	grace, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = c.out.flush(grace) // the rest is given up
	err := c.end(nil)
	// A caller inside the transport, for example in a host-key verifier, keeps a loop from
	// ending until the caller returns.
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

// Flush waits until the transport has written everything that was queued before the call. When
// ctx ends first, Flush returns the errors of ctx, and the writing goes on.
func (c *Conn) Flush(ctx context.Context) error { return c.out.flush(ctx) }

// end ends the connection for the given cause, once, and returns the error of closing the
// transport. Further calls return nil.
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

// firstCause gives calls that wait for the peer the error of an earlier failed write: the end of
// the stream to be read adds nothing to that error, and a DISCONNECT of the peer is joined with
// the error. The caller holds mu.
func (c *Conn) firstCause(cause error) error {
	switch first := c.writeErr; {
	case first == nil || cause.Error() == first.Error():
		return cause
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return first
	default:
		return fmt.Errorf("%w (after a failed write: %w)", cause, first)
	}
}

// transportError makes an end of the transport, even an orderly end, an unexpected end: io.EOF
// is for the streams of channels that ended well.
func transportError(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("connection: transport ended: %w", io.ErrUnexpectedEOF)
	}
	return err
}
