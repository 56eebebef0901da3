package connection

import (
	"time"
)

// A direct write has minDirect bytes or more, and at most maxDirect bytes in directPackets
// packets. Smaller writes go through the outbox, where the write loop makes a batch of many.
const (
	minDirect     = 16 << 10
	maxDirect     = 128 << 10
	directPackets = 16
)

// directWrite is channel data that the writing goroutine hands to the transport, while nobody
// else writes: the data is copied once, into the transport's buffer, and no other goroutine is
// woken. The transport takes all of the data or, where a wait is needed, none. The write loop
// waits instead, since a deadline or Close has to end the caller's wait.
//
// A connection has a single directWrite. The holder of outbox.writing owns the directWrite.
type directWrite struct {
	conn     *Conn
	send     func() error // bound once, so that no write allocates
	to       uint32       // the peer's number of the channel
	extended uint32
	data     []byte // the caller's
	max      int    // bytes in a packet
}

func (d *directWrite) init(c *Conn) {
	d.conn = c
	d.send = d.sendPackets
}

// sendPackets runs inside TryBatch.
func (d *directWrite) sendPackets() error {
	t, buffers := d.conn.t, d.conn.powers.tryBatch
	for data := d.data; len(data) > 0; {
		size := min(len(data), d.max)
		packet := buffers.PacketBuffer(maxDataHeader + size)
		packet = appendDataHeader(packet, d.to, d.extended, size)
		if err := t.WritePacket(append(packet, data[:size]...)); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// directWrites reports whether a write of size bytes starts as a direct write. Skip direct writes
// when producing the data took longer than sending the data: the write loop seals packets while
// the writer produces more. The caller holds out.mu, as for writeDirect.
func (c *Channel) directWrites(size int) bool {
	if c.conn.powers.tryBatch == nil || size < minDirect {
		return false
	}
	return c.directCost == 0 || float64(time.Since(c.wrote)) <= c.directCost*float64(size)
}

// writeDirect makes a direct write of data, as far as the window allows. The results are the number
// of bytes sent, and true if the transport would have to wait. The caller has seen that nobody
// writes; out.mu is released during the write.
func (c *Channel) writeDirect(extended uint32, data []byte) (n int, refused bool) {
	conn, o, most := c.conn, &c.conn.out, int(c.sendMax)
	n = int(min(int64(len(data)), c.sendWindow, maxDirect, int64(directPackets*most)))
	c.sendWindow -= int64(n) // before the peer can grant the same bytes again
	o.writing = true
	o.taken++
	o.mu.Unlock()

	d := &conn.direct
	d.to, d.extended, d.data, d.max = c.remote, extended, data[:n], most
	began := time.Now()
	ok, more, err := conn.powers.tryBatch.TryBatch(d.send)
	took := time.Since(began)
	d.data = nil

	o.mu.Lock()
	switch {
	case err != nil:
		go conn.writeFailed(transportError(err))
		return n, false
	case more:
		o.unflushed = true
		o.start()
	default:
		o.directDone()
	}
	if !ok {
		c.sendWindow += int64(n)
		return 0, true
	}
	if !more && n >= minDirect { // a wait and a small write tell nothing about others
		c.directCost = float64(took) / float64(n)
	}
	return n, false
}

// directDone ends a direct write that has left no rest. The write loop sends the packets queued
// during the write, even if the outbox takes no further packets.
func (o *outbox) directDone() {
	o.written = o.taken
	o.progress.Broadcast()
	if o.queue != nil || len(o.credit) > 0 || o.keepAlive {
		o.start()
	} else {
		o.writing = false
	}
}
