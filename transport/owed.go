package transport

import "sync"

// Bounds of the replies that wait to be sent, in bytes. At maxOwed the reader waits.
// Above maxOwedInExchange the connection ends.
const (
	maxOwed           = 64 * 1024
	maxOwedInExchange = 1024 * 1024
)

// owedQueue holds the packets that the reader owes the server: answers to unknown
// messages and to pings. The reader must not write: a peer that does not read while
// writing would wait for us, and we for the peer. So a goroutine writes the packets,
// and lives as long as the queue is not empty.
//
// At the bound the reader does wait. Only a peer that asks without reading the answers
// gets there, and then its own writes block: nothing is lost, and memory stays
// bounded. In a key exchange of ours nothing can be sent until the reader has gone on,
// so there the reader does not wait.
type owedQueue struct {
	mu      sync.Mutex
	room    sync.Cond
	packets [][]byte
	size    int
	paying  bool // the goroutine runs
	closed  bool
}

func (q *owedQueue) init() { q.room.L = &q.mu }

// close unblocks the reader for good: packets owed from now on are dropped.
func (q *owedQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
}

// owe queues a packet for the server.
func (c *Conn) owe(packet []byte) error {
	q := &c.owed
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.size > maxOwed && !q.closed && !c.exchanging() {
		q.room.Wait()
	}
	if q.size > maxOwedInExchange {
		return protocolErrorf("more than %d bytes of answers are due during a key exchange", maxOwedInExchange)
	}
	if q.closed {
		return nil
	}
	q.packets = append(q.packets, packet)
	q.size += len(packet)
	if !q.paying {
		q.paying = true
		go c.pay()
	}
	return nil
}

// wake lets the reader see that an exchange has begun.
func (q *owedQueue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room.Broadcast()
}

// pay sends packets until nothing is owed or the connection has ended.
func (c *Conn) pay() {
	q := &c.owed
	for {
		q.mu.Lock()
		packets := q.packets
		q.packets, q.size = nil, 0
		q.paying = len(packets) > 0
		q.room.Broadcast()
		q.mu.Unlock()
		if len(packets) == 0 {
			return
		}
		if c.sendAll(packets) != nil {
			q.close() // no answer gets through, but the server may still be read
			return
		}
	}
}

// sendAll sends packets in a batch.
func (c *Conn) sendAll(packets [][]byte) error {
	return c.Batch(func() error {
		for _, p := range packets {
			if err := c.send(p); err != nil {
				return err
			}
		}
		return nil
	})
}
