package connection_test

import (
	"io"
	"net"
	"slices"
	"sync"
)

// pipe returns the two ends of an in-memory packet transport.
func pipe() (a, b *end) {
	ab, ba := newQueue(), newQueue()
	return &end{in: ba, out: ab}, &end{in: ab, out: ba}
}

// end is an end of a pipe. The packet of a ReadPacket is overwritten at the next call, to find
// readers that keep a packet.
type end struct {
	in, out *queue
	last    []byte
}

func (e *end) ReadPacket() ([]byte, error) {
	clear(e.last)
	packet, err := e.in.get(e.last)
	e.last = packet
	return packet, err
}

func (e *end) WritePacket(packet []byte) error { return e.out.put(packet) }

func (e *end) Close() error {
	e.in.fail(net.ErrClosed, net.ErrClosed)
	e.out.fail(io.EOF, net.ErrClosed)
	return nil
}

// queue is a direction of a pipe.
type queue struct {
	mu       sync.Mutex
	changed  sync.Cond
	packets  [][]byte
	head     int // of packets: those before are gone
	free     [][]byte
	size     int
	limit    int // bytes; a writer waits while there are more
	readErr  error
	writeErr error
}

func newQueue() *queue {
	q := &queue{limit: 1 << 30}
	q.changed.L = &q.mu
	return q
}

func (q *queue) put(packet []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.size > q.limit && q.writeErr == nil {
		q.changed.Wait()
	}
	if q.writeErr != nil {
		return q.writeErr
	}
	if q.head > len(q.packets)/2 {
		q.packets = slices.Delete(q.packets, 0, q.head)
		q.head = 0
	}
	var b []byte
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	}
	q.packets = append(q.packets, append(b[:0], packet...))
	q.size += len(packet)
	q.changed.Broadcast()
	return nil
}

// get returns a packet, and takes back a packet returned before. Packets put before a failure
// come before the failure.
func (q *queue) get(used []byte) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if used != nil {
		q.free = append(q.free, used)
	}
	for q.head == len(q.packets) {
		if q.readErr != nil {
			return nil, q.readErr
		}
		q.changed.Wait()
	}
	packet := q.packets[q.head]
	q.packets[q.head] = nil
	q.head++
	q.size -= len(packet)
	q.changed.Broadcast()
	return packet, nil
}

func (q *queue) fail(readErr, writeErr error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.readErr == nil {
		q.readErr = readErr
	}
	if q.writeErr == nil {
		q.writeErr = writeErr
	}
	q.changed.Broadcast()
}

// setLimit makes writers wait while more than n bytes are unread.
func (q *queue) setLimit(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = n
	q.changed.Broadcast()
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.packets) - q.head
}
