package connection

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// The outbox holds all packets that wait to be written, in order, and has three levels in bytes.
// Channel data waits outside above dataLimit. Requests and opens of the program and answers of
// its handlers wait outside above controlLimit, so that data never starves them. Refused opens
// go in at any level, but above owedLimit the read loop takes no further packet until the level
// has sunk. This wait is a deliberate exception to "the read loop never waits": no other
// back-pressure stops a peer that goes on asking and does not read, and Close and keepalive
// still end the wait. EOF and CLOSE go in at any level: a channel has only one of each.
const (
	dataLimit    = 256 << 10
	controlLimit = dataLimit + 64<<10
	owedLimit    = 2 * dataLimit
)

// outbox is the sending half of the connection and of all its channels: mu also guards the
// sending state of channels, so that a packet and the state behind the packet, for example a
// reply slot, change together.
type outbox struct {
	start     func() // starts the write loop
	mu        sync.Mutex
	room      sync.Cond // senders wait here for room; see passOn
	queue     *batch    // nil while nothing is queued
	credit    []*Channel
	keepAlive bool
	writing   bool      // the write loop lives, or a direct write is under way: always while there is a queue
	unflushed bool      // a direct write has left a rest in the transport
	taken     uint64    // batches and direct writes begun
	written   uint64    // batches and direct writes ended
	progress  sync.Cond // of writing, taken and written
	stopped   bool
	err       error // set once; from then on nothing goes in
	replies   replyQueue
}

func (o *outbox) init(start func()) {
	o.start = start
	o.room.L = &o.mu
	o.progress.L = &o.mu
}

// size is the level of the outbox. The caller holds o.mu, as for all methods down to
// pushChannel.
func (o *outbox) size() int {
	if o.queue == nil {
		return 0
	}
	return len(o.queue.data)
}

// push queues a packet that fill appends, unless the outbox has ended.
func (o *outbox) push(fill func(b []byte) []byte) {
	if o.err != nil {
		return
	}
	if o.queue == nil {
		o.queue = batches.Get().(*batch)
	}
	b := o.queue
	b.data = fill(b.data)
	b.ends = append(b.ends, len(b.data))
	o.run()
}

// run starts the write loop unless it runs.
func (o *outbox) run() {
	if !o.writing && o.err == nil {
		o.writing = true
		o.start()
	}
}

func (o *outbox) pushPacket(packet []byte) {
	o.push(func(b []byte) []byte { return append(b, packet...) })
}

// pushChannel queues a message of nothing but a recipient.
func (o *outbox) pushChannel(number byte, recipient uint32) {
	o.push(func(b []byte) []byte { return appendMsg(b, number, recipient) })
}

// pushData queues channel data.
func (o *outbox) pushData(recipient, extended uint32, data []byte) {
	o.push(func(b []byte) []byte {
		return append(appendDataHeader(b, recipient, extended, len(data)), data...)
	})
}

// passOn wakes another sender if there is room. Every sender that was woken for room calls
// passOn, whether or not the sender used the room: only so can the write loop wake a single
// sender for each batch instead of all.
func (o *outbox) passOn() {
	if o.size() < dataLimit {
		o.room.Signal()
	}
}

// writeLoop lives while there is something to write: an idle connection has the read loop alone.
func (c *Conn) writeLoop() {
	err := c.flushDirect()
	for err == nil {
		b := c.out.take()
		if b == nil {
			return
		}
		if c.powers.batch == nil {
			err = b.send(c.t)
		} else {
			c.sending = b
			err = c.powers.batch.Batch(c.sendBatch)
			c.sending = nil
		}
		b.release()
	}
	c.writeFailed(transportError(err))
}

// flushDirect sends the rest that a direct write has left in the transport.
func (c *Conn) flushDirect() error {
	c.out.mu.Lock()
	unflushed := c.out.unflushed
	c.out.unflushed = false
	c.out.mu.Unlock()
	if unflushed {
		return c.powers.tryBatch.Flush()
	}
	return nil
}

// writeFailed lets every sender fail at once, and lets the reader take the peer's last packets.
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

// awaitRoom blocks until there is room for a control message, on ch if ch is not nil. The caller
// holds o.mu.
func (o *outbox) awaitRoom(ctx context.Context, ch *Channel) error {
	for waited := false; ; waited = true {
		switch err := o.sendError(ch); {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctxerr.Of(ctx)
		case o.size() < controlLimit:
			return nil
		case !waited:
			defer o.passOn()
			defer context.AfterFunc(ctx, o.wake)()
		}
		o.room.Wait()
	}
}

func (o *outbox) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room.Broadcast()
	o.progress.Broadcast()
}

// send queues a control message of the program when there is room. send fails after the CLOSE of
// a channel that is not nil.
func (o *outbox) send(ctx context.Context, ch *Channel, packet []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.awaitRoom(ctx, ch); err != nil {
		return err
	}
	o.pushPacket(packet)
	return nil
}

// sendError is the reason why nothing can be sent: on the connection, or on a ch that is not
// nil.
func (o *outbox) sendError(ch *Channel) error {
	if ch != nil && ch.closeErr != nil {
		return ch.closeErr
	}
	return o.err
}

// owe queues an answer of the read loop, which pauses while very much is unwritten. owe fails
// when the connection has ended.
func (o *outbox) owe(packet []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size() >= owedLimit && !o.stopped {
		o.room.Wait()
		o.passOn()
	}
	if o.stopped {
		return o.err
	}
	o.pushPacket(packet)
	return nil
}

// take returns all packets for the write loop to write. The write loop ends by nil, when there
// are none.
func (o *outbox) take() *batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written = o.taken
	defer o.progress.Broadcast()
	o.pushDue()
	b := o.queue
	if b == nil || o.stopped {
		o.writing = false
		return nil
	}
	o.queue = nil
	o.taken++
	o.room.Signal()
	return b
}

// pushDue queues the packets that are made only when written, so that a single packet stands for
// many: window credit, and the keepalive request.
func (o *outbox) pushDue() {
	for i, ch := range o.credit {
		credit := ch.credit
		ch.credit = 0
		o.credit[i] = nil
		if ch.closeErr == nil {
			o.push(func(b []byte) []byte {
				b = appendMsg(b, msgWindowAdjust, ch.remote)
				return binary.BigEndian.AppendUint32(b, credit)
			})
		}
	}
	o.credit = o.credit[:0]
	if o.keepAlive && o.err == nil && len(o.replies.slots) < maxPending {
		o.keepAlive = false
		o.pushPacket(keepAlivePacket)
		o.replies.push(newPending(keepAliveName))
	}
}

// refuse shuts the outbox and fails all that wait. The caller holds o.mu.
func (o *outbox) refuse(err error) {
	if o.err == nil {
		o.err = err
	}
	o.room.Broadcast()
}

// fail is for the write loop: nothing will be written any more.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse(err)
	o.queue = nil
	o.writing = false
	o.progress.Broadcast()
}

// stop lets the write loop end and fails the requests that wait for global replies.
func (o *outbox) stop(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse(err)
	o.err = err // may say more than the error of a failed write
	o.stopped = true
	o.progress.Broadcast()
	o.queue = nil
	o.credit = nil
	o.replies.fail(err)
}

// flush waits until all packets queued by now have been written.
func (o *outbox) flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil && !o.writing {
		return o.err
	}
	last := o.taken
	if o.queue != nil {
		last++
	}
	err := o.awaitProgress(ctx, func() bool {
		return o.written >= last || !o.writing || o.stopped
	})
	if err == nil && o.written < last {
		err = o.err
	}
	return err
}

// ended waits for the end of the write loop.
func (o *outbox) ended(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.awaitProgress(ctx, func() bool { return !o.writing })
}

// awaitProgress blocks until the write loop has made reached true. The caller holds o.mu.
func (o *outbox) awaitProgress(ctx context.Context, reached func() bool) error {
	defer context.AfterFunc(ctx, o.wake)()
	for !reached() {
		if ctx.Err() != nil {
			return ctxerr.Of(ctx)
		}
		o.progress.Wait()
	}
	return nil
}

// close lets nothing further in.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse(errConnClosed)
}

// batch is a run of packets for the transport.
type batch struct {
	data []byte
	ends []int // where each packet in data ends
}

// batches are the batches of all connections: an idle connection holds none.
var batches = sync.Pool{New: func() any { return new(batch) }}

// send passes the packets to a transport.
func (b *batch) send(t Transport) error {
	start := 0
	for _, end := range b.ends {
		if err := t.WritePacket(b.data[start:end:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (b *batch) release() {
	if cap(b.data) > 2*owedLimit {
		return
	}
	*b = batch{data: b.data[:0], ends: b.ends[:0]}
	batches.Put(b)
}
