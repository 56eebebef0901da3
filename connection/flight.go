package connection

import (
	"sync"
	"time"
)

// A write of minFlight bytes or more does not go through the queue. Smaller ones
// do: of many of those the write loop makes one for the transport. One flight
// has at most maxFlight bytes and flightPackets packets.
const (
	minFlight     = 16 << 10
	maxFlight     = 128 << 10
	flightPackets = 16
)

// What ReadFrom reads at once: as much as a flight takes, while buffers are
// filled, so that it does not wait for a source that has paused with more than
// the smaller one.
const (
	smallSource = 32 << 10
	largeSource = maxFlight
)

var (
	smallSources = sync.Pool{New: func() any { return newSource(smallSource) }}
	largeSources = sync.Pool{New: func() any { return newSource(largeSource) }}
	flights      = sync.Pool{New: func() any { return new(flight) }}
)

func newSource(size int) *[]byte {
	b := make([]byte, size)
	return &b
}

// flight is channel data that the goroutine which writes it hands to the
// transport by itself, while nobody else writes: without a copy in between and
// without waking another goroutine. The transport takes as much of it as does not
// make it wait, and the write loop gets the rest, because that can be left alone
// with it when a deadline passes or the channel is closed.
type flight struct {
	headers [flightPackets * maxDataHeader]byte
	packets [][2][]byte // each with its header, and data that belongs to the caller
}

// cut makes packets of data, each of which has at most so many bytes of it, and
// returns how much of it they have.
func (f *flight) cut(recipient, extended uint32, data []byte, most int) (n int) {
	headers := f.headers[:0]
	for data = data[:min(len(data), maxFlight)]; n < len(data) && len(f.packets) < flightPackets; {
		size, start := min(len(data)-n, most), len(headers)
		headers = appendDataHeader(headers, recipient, extended, size)
		f.packets = append(f.packets, [2][]byte{headers[start:len(headers):len(headers)], data[n : n+size]})
		n += size
	}
	return n
}

// rest returns a copy of all packets but the first n.
func (f *flight) rest(n int) *batch {
	b := batches.Get().(*batch)
	for _, p := range f.packets[n:] {
		b.data = append(append(b.data, p[0]...), p[1]...)
		b.ends = append(b.ends, len(b.data))
	}
	return b
}

func (f *flight) release() {
	clear(f.packets) // the data is the caller's
	f.packets = f.packets[:0]
	flights.Put(f)
}

// flies tells whether a write of that size shall be a flight. It shall not if the
// writer has needed longer to come by its data than a flight does with them: the
// sealing is better done beside that then, by the write loop. The caller holds
// out.mu, as for the next two.
func (c *Channel) flies(size int) bool {
	if c.conn.tryWrite == nil || size < minFlight {
		return false
	}
	return c.flightCost == 0 || float64(time.Since(c.wrote)) <= c.flightCost*float64(size)
}

// fly sends data of a channel by a flight, as much of it as one takes and there
// is window for, and returns how much that was. The caller holds out.mu, which
// is released meanwhile, and has seen that nobody writes.
func (c *Channel) fly(extended uint32, data []byte) (n int) {
	conn, o := c.conn, &c.conn.out
	f := flights.Get().(*flight)
	n = f.cut(c.remote, extended, data[:min(int64(len(data)), c.sendWindow)], int(c.sendMax))
	c.sendWindow -= int64(n)
	o.writing = true
	o.taken++
	o.mu.Unlock()

	var left *batch
	began := time.Now()
	sent, more, err := conn.tryWrite(f.packets)
	took := time.Since(began)
	if err == nil && (more || sent < len(f.packets)) {
		left = f.rest(sent)
	}
	f.release()

	o.mu.Lock()
	if left == nil && n >= minFlight { // otherwise it says nothing of others
		c.flightCost = float64(took) / float64(n)
	}
	switch {
	case err != nil:
		go conn.writeFailed(transportError(err))
	case left != nil:
		o.ahead = left
		o.start()
	default:
		o.landed()
	}
	return n
}

// landed ends a flight that has left nothing. What was queued meanwhile is the
// write loop's, also when nothing further may go in.
func (o *outbox) landed() {
	o.written = o.taken
	o.progress.Broadcast()
	if o.queue != nil || len(o.credit) > 0 || o.keepAlive {
		o.start()
	} else {
		o.writing = false
	}
}
