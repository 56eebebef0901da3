package transport

import (
	"bytes"
	"sync"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// A batch has the packets of a call of Batch or TryBatch. While a batch is open, the
// caller holds the write lock, and every WritePacket, of whatever goroutine, seals
// into the buffer under mu instead of taking that lock.
type batch struct {
	mu     sync.Mutex
	open   bool
	try    bool      // a TryBatch: no packet may wait
	number uint64    // of the batch; tells a batch from the next
	busy   bool      // a WritePacket is writing to the connection below, without mu
	idle   sync.Cond // broadcast when busy ends

	// building is true from PacketBuffer until the packet built in the buffer comes.
	// Packets of other goroutines must not overwrite that packet, and wait behind it.
	building bool
	behind   [][]byte
}

// Batch calls write, and sends the packets that write writes by WritePacket, with as
// few writes to the connection below as possible. Batch waits like WritePacket, and
// returns write's error. The packets before an error or a panic of write are sent
// too: both leave the connection usable.
//
// Meanwhile WritePacket only encrypts into memory, and a WritePacket of another
// goroutine joins the batch. So write should return soon, and must not call other
// methods of the Conn that can wait. If a packet spends the key, the packets behind
// wait for new keys, and leave one by one.
func (c *Conn) Batch(write func() error) (err error) {
	if err := c.lockForData(); err != nil {
		return err
	}
	number := c.batch.begin(false)
	defer func() { err = c.endBatch(number, err) }()
	return write()
}

// TryBatch is Batch without a wait: for its turn, for a key exchange, or for the peer
// to read. Where a wait is due, ok is false and write was not called. WritePacket
// within write does not wait either, so all packets of the batch are in memory until
// write returns.
//
// more is true if not all packets could leave, or if new keys are due: then the
// caller calls Flush, and Flush may wait. Until then no TryBatch succeeds, and any
// other write sends the rest first.
//
// TryBatch works once the user is authenticated, over a TCP or Unix socket, on Unix
// systems. A goroutine with much to send saves a copy and a change of goroutines.
func (c *Conn) TryBatch(write func() error) (ok, more bool, err error) {
	if !c.w.CanTry() || !c.authed.Load() || c.alive() != nil {
		return false, false, nil
	}
	select {
	case <-c.w.lock:
	default:
		return false, false, nil
	}
	if c.w.err != nil || c.w.exchange != nil || c.w.Left() || c.due() {
		c.w.lock <- struct{}{} // Batch and Flush deal with these
		return false, false, nil
	}
	c.w.Borrow()
	number := c.batch.begin(true)
	defer func() { more, err = c.endTryBatch(number, err) }()
	return true, false, write()
}

// PacketBuffer returns an empty buffer with room for size bytes. Within a batch, the
// caller of WritePacket builds the next packet there by append, and WritePacket
// encrypts the packet in place instead of copying. The buffer is valid until that
// WritePacket. PacketBuffer returns nil where there is no room, for example outside
// of a batch; append to nil works as well.
func (c *Conn) PacketBuffer(size int) []byte {
	b := &c.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.awaitIdle() || size <= 0 || size > packetio.MaxPayload {
		return nil
	}
	if b.building { // the packet was written from elsewhere, or never
		b.building = false
		if c.sealBehind() != nil || !b.open {
			return nil
		}
	}
	if !b.try && !c.w.Fits(size) && c.flushBatch() != nil {
		return nil
	}
	b.building = true
	return c.w.Buffer(size)
}

// Flush sends what TryBatch has left, and the request that RequestService holds,
// and starts the key exchange that is due. Flush may wait for the peer to read.
func (c *Conn) Flush() (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	c.w.TakeHeld()
	if c.w.exchange == nil && c.due() {
		return c.startExchange()
	}
	return c.w.Flush()
}

// begin opens a batch. The caller holds the write lock.
func (b *batch) begin(try bool) (number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open, b.try = true, try
	b.number++
	return b.number
}

// awaitIdle waits until nobody writes for the batch. The caller holds mu.
func (b *batch) awaitIdle() (open bool) {
	for b.busy {
		b.idle.Wait()
	}
	return b.open
}

// end closes the batch with that number, unless an error or a key exchange has done
// so. If open is true, the write lock is the caller's alone again.
func (b *batch) end(number uint64) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open = b.awaitIdle() && b.number == number; open {
		b.open, b.building = false, false
	}
	return open
}

// join adds a packet to the open batch. joined is false if no batch is open.
func (c *Conn) join(packet []byte) (joined bool, err error) {
	b := &c.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.awaitIdle():
		return false, nil
	case b.building && !c.w.InBuffer(packet):
		b.behind = append(b.behind, bytes.Clone(packet))
		return true, nil
	}
	b.building = false
	if err := c.sealInBatch(packet); err != nil {
		return true, err
	}
	return true, c.sealBehind()
}

// sealInBatch seals a packet. Without room, a batch that may wait is flushed before.
// An error closes the batch. The caller holds mu, as for the methods down to
// closeBatch.
func (c *Conn) sealInBatch(packet []byte) error {
	if b := &c.batch; !b.try && !c.w.Fits(len(packet)) {
		if err := c.flushBatch(); err != nil {
			return err
		}
	}
	if err := c.w.Seal(packet); err != nil {
		return c.closeBatch(err)
	}
	return nil
}

// sealBehind seals the packets of other goroutines, and starts the key exchange that
// may be due then. The exchange closes the batch, because the reader will need the
// write lock.
func (c *Conn) sealBehind() error {
	b := &c.batch
	for len(b.behind) > 0 {
		next := b.behind[0]
		b.behind = b.behind[1:]
		if err := c.sealInBatch(next); err != nil {
			return err
		}
	}
	b.behind = nil
	if b.try || !c.due() {
		return nil
	}
	return c.closeBatch(c.aside(c.startExchange))
}

// flushBatch makes room. An error closes the batch.
func (c *Conn) flushBatch() error {
	if err := c.aside(c.w.Flush); err != nil {
		return c.closeBatch(err)
	}
	return nil
}

// aside calls do without mu, because do may wait.
func (c *Conn) aside(do func() error) error {
	b := &c.batch
	b.busy = true
	b.mu.Unlock()
	c.startWaiting()
	defer func() { // also when the Write of the connection below panics
		c.stopWaiting()
		b.mu.Lock()
		b.busy = false
		b.idle.Broadcast()
	}()
	return do()
}

// closeBatch gives the write lock back before the batch ends, and returns the error of
// unlockWriter.
func (c *Conn) closeBatch(err error) error {
	c.batch.open, c.batch.behind = false, nil
	return c.unlockWriter(err)
}

// endBatch sends the packets of the batch, and returns the error of Batch: write's
// error err wins over a send error.
func (c *Conn) endBatch(number uint64, err error) error {
	var failed error
	if c.batch.end(number) {
		c.startWaiting()
		if failed = c.sealAbandoned(); failed == nil {
			failed = c.w.Flush()
		}
		c.stopWaiting()
		failed = c.unlockWriter(failed)
	} else if e := c.w.failed.Load(); e != nil {
		failed = e
	} else {
		failed = c.alive()
	}
	if err != nil {
		return err
	}
	return failed
}

// endTryBatch is endBatch for TryBatch.
func (c *Conn) endTryBatch(number uint64, err error) (more bool, _ error) {
	if !c.batch.end(number) {
		return false, err // the error has closed the batch
	}
	failed := c.sealAbandoned()
	if failed == nil {
		more, failed = c.w.TryFlush()
	}
	more = more || c.due()
	failed = c.unlockWriter(failed)
	if err != nil {
		return more, err
	}
	return more, failed
}

// sealAbandoned seals the packets that have waited behind a packet that never came.
// The batch is closed, and the write lock is held.
func (c *Conn) sealAbandoned() error {
	behind := c.batch.behind
	c.batch.behind = nil
	for _, packet := range behind {
		if err := c.w.Seal(packet); err != nil {
			return err
		}
	}
	return nil
}
