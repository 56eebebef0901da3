package connection

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
)

// The outbox holds everything that waits to be written, in one order, and
// these are its three levels in bytes. Channel data waits outside while there
// is more than dataLimit, requests and opens of the program and the answers of
// its handlers while there is more than controlLimit, so that data never
// starves them. Refused opens go in at any level, but above owedLimit the read
// loop takes no further packet until the level has sunk. That is a deliberate
// exception to "the read loop never waits": it is the only back-pressure
// towards a peer that goes on asking and does not read, and both Close and
// keepalive still end it. EOF and CLOSE go in at any level: there is one of
// each for a channel.
const (
	dataLimit    = 256 << 10
	controlLimit = dataLimit + 64<<10
	owedLimit    = 2 * dataLimit
)

// outbox is the sending half of the connection and of all its channels: mu
// also guards what the channels keep for sending, so that a packet and the
// state that goes with it, for example a reply slot, change as one.
type outbox struct {
	start     func() // starts the write loop
	mu        sync.Mutex
	room      sync.Cond // senders wait here for room; see passOn
	queue     *batch    // nil while nothing is queued
	credit    []*Channel
	keepAlive bool
	writing   bool      // the write loop lives, or a flight is under way: always while there is a queue
	ahead     *batch    // what a flight has left for the write loop, to go before all else
	taken     uint64    // batches and flights that have begun
	written   uint64    // those that are over
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

// size is the level of the outbox. The caller holds o.mu, as for all methods
// down to pushChannel.
func (o *outbox) size() int {
	if o.queue == nil {
		return 0
	}
	return len(o.queue.data)
}

// push queues a packet that is appended by fill. After the end it does
// nothing.
func (o *outbox) push(fill func(b []byte) []byte) {
	if o.err != nil {
		return
	}
	b := o.begin()
	b.data = fill(b.data)
	o.seal(b)
}

// begin returns the batch to append a packet to.
func (o *outbox) begin() *batch {
	if o.queue == nil {
		o.queue = batches.Get().(*batch)
	}
	return o.queue
}

// seal ends the packet that was appended to b.
func (o *outbox) seal(b *batch) {
	b.ends = append(b.ends, len(b.data))
	o.run()
}

// run starts the write loop unless it lives. There is something to write.
func (o *outbox) run() {
	if !o.writing && o.err == nil {
		o.writing = true
		o.start()
	}
}

func (o *outbox) pushPacket(packet []byte) {
	o.push(func(b []byte) []byte { return append(b, packet...) })
}

// pushChannel queues a message that has nothing but a recipient.
func (o *outbox) pushChannel(number byte, recipient uint32) {
	o.push(func(b []byte) []byte { return appendMsg(b, number, recipient) })
}

// pushData queues channel data.
func (o *outbox) pushData(recipient, extended uint32, data []byte) {
	o.push(func(b []byte) []byte {
		return append(appendDataHeader(b, recipient, extended, len(data)), data...)
	})
}

// passOn wakes one more sender if there is room. Whoever was woken for room
// calls it, having used the room or not: only so can the write loop get away
// with waking one sender for each batch instead of all of them.
func (o *outbox) passOn() {
	if o.size() < dataLimit {
		o.room.Signal()
	}
}

// await blocks until ready is true, or returns ready's error or that of ctx.
// The caller holds o.mu.
func (o *outbox) await(ctx context.Context, ready func() (bool, error)) error {
	try := func() (bool, error) {
		ok, err := ready()
		if err == nil {
			err = ctx.Err()
		}
		return ok, err
	}
	ok, err := try()
	if ok || err != nil {
		return err
	}
	defer o.passOn()
	stop := context.AfterFunc(ctx, o.wake)
	defer stop()
	for !ok && err == nil {
		o.room.Wait()
		ok, err = try()
	}
	return err
}

func (o *outbox) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room.Broadcast()
}

// send queues a control message of the program when there is room for it. It
// fails when ch is not nil and its CLOSE has been sent.
func (o *outbox) send(ctx context.Context, ch *Channel, packet []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.await(ctx, func() (bool, error) {
		return o.size() < controlLimit, o.sendError(ch)
	})
	if err == nil {
		o.pushPacket(packet)
	}
	return err
}

// sendError is why nothing but data could be sent, on ch if it is not nil.
func (o *outbox) sendError(ch *Channel) error {
	if ch != nil && ch.closeErr != nil {
		return ch.closeErr
	}
	return o.err
}

// owe queues an answer of the read loop, which pauses while very much is
// unwritten. It fails when the connection has ended.
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

// take gives the write loop everything there is to write, and ends it by nil
// when there is nothing.
func (o *outbox) take() *batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.ahead; b != nil {
		o.ahead = nil
		return b // it has been counted
	}
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

// pushDue makes the packets that never wait in the queue, because one can stand
// for many: window credit, and the keepalive request.
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

// refuse lets nothing further in and fails those that wait. The caller holds
// o.mu.
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

// stop lets the write loop end and fails what waits for global replies.
func (o *outbox) stop(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse(err)
	o.err = err // which may say more than what a write has failed with
	o.stopped = true
	o.progress.Broadcast()
	o.queue = nil
	o.credit = nil
	o.replies.fail(err)
}

// flush waits until everything that is queued now has been written.
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

// awaitProgress blocks until the write loop has come to where reached is true,
// or returns the error of ctx. The caller holds o.mu.
func (o *outbox) awaitProgress(ctx context.Context, reached func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.progress.Broadcast()
	})
	defer stop()
	for !reached() {
		if err := ctx.Err(); err != nil {
			return err
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

// batch is a run of packets that are written together.
type batch struct {
	data    []byte
	ends    []int // where each packet in data ends
	packets [][]byte
}

// batches has the batches of all connections: one that is idle holds none.
var batches = sync.Pool{New: func() any { return new(batch) }}

// split returns the packets. They are valid until release.
func (b *batch) split() [][]byte {
	b.packets = slices.Grow(b.packets, len(b.ends))
	start := 0
	for _, end := range b.ends {
		b.packets = append(b.packets, b.data[start:end:end])
		start = end
	}
	return b.packets
}

func (b *batch) release() {
	if cap(b.data) > 2*owedLimit {
		return
	}
	clear(b.packets) // a grown batch must not keep the data that it outgrew
	*b = batch{data: b.data[:0], ends: b.ends[:0], packets: b.packets[:0]}
	batches.Put(b)
}
