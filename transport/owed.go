package transport

import (
	"sync"

	"golang.org/x/crypto/ssh"
)

// Bounds of the replies that wait to be sent, in bytes: at maxOwed the reader
// waits, beyond maxOwedInExchange the server has gone too far.
const (
	maxOwed           = 64 * 1024
	maxOwedInExchange = 1024 * 1024
)

// owedQueue holds what the reader owes the server: answers to messages that it
// does not know, and to pings. The reader must not write: a peer that does not
// read while it writes would wait for us, and we for it. So a goroutine that
// lives as long as the queue is not empty writes them.
//
// At the bound the reader does wait. Only a peer that asks without reading the
// answers gets there, and then its own writes block: nothing is lost, and
// memory stays bounded. In a key exchange of ours nothing can be sent until the
// reader has gone on, so there it does not wait.
type owedQueue struct {
	mu      sync.Mutex
	room    sync.Cond
	packets [][]byte
	size    int
	paying  bool // the goroutine runs
	closed  bool
}

func (q *owedQueue) init() { q.room.L = &q.mu }

// close unblocks the reader for good: what is owed from now on is dropped.
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
		return protocolErrorf("more than %d bytes to answer during a key exchange", maxOwedInExchange)
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

// pay sends what is owed until nothing is left or the connection has ended.
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
		if c.write(packets) != nil {
			q.close() // the server gets no answers any more, but may still be read
			return
		}
	}
}

// handlePing answers OpenSSH PROTOCOL section 1.8, echoing the data. Before
// authentication it does not, like OpenSSH since CVE-2025-26466.
func (c *Conn) handlePing(p []byte) error {
	var m pingMsg
	if err := ssh.Unmarshal(p, &m); err != nil {
		return protocolErrorf("malformed PING: %v", err)
	}
	if !c.authed.Load() {
		return nil
	}
	return c.owe(ssh.Marshal(&pongMsg{Data: m.Data}))
}
