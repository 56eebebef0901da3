package sshtest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Link is a network path with a delay and a rate, for tests and measurements
// against servers that are far away. It may be used for many connections, each
// of which has the whole rate for itself. Time passes by timers only, so with
// [Pipe] below it a Link fits into a bubble of testing/synctest; close both
// ends there, for time stands still when the test's function has returned.
//
// Beside what a reader has not taken yet, a connection holds what is on its
// way: at most Rate*RTT*2 bytes and 16 MiB, and 128 MiB where Rate is 0. When
// the path is full, writers wait, as they do for TCP.
type Link struct {
	RTT  time.Duration // half of it each way
	Rate int64         // bytes for each second, in each direction; 0 is unlimited
}

const (
	linkChunkMax = 64 << 10 // bytes that travel as one
	linkChunkMin = 1 << 10
	linkBacklog  = 4 << 20  // what may wait for its turn where there is a rate
	linkFlight   = 32 << 20 // what may be on its way where there is none
	linkOverhead = 256      // what a chunk costs beside its bytes
)

// Conn returns the near end of the link when c is the far end, a connection to
// a server. It owns c. As in TCP, the server learns of the connection RTT/2
// after the client, so what it says first arrives one RTT from now.
func (l *Link) Conn(c net.Conn) *LinkConn {
	client, near := Pipe()
	return &LinkConn{client.(*pipeConn), l.start(near, c)}
}

// A LinkConn is a client's connection through a [Link]. Close takes no time,
// and what was written before it still arrives, in its time. A far end that
// fails shows as one that hangs up. One without CloseWrite is closed where the
// client ends its direction.
type LinkConn struct {
	*pipeConn
	path *linkPath
}

// Close ends the connection, for the server a little later.
func (c *LinkConn) Close() error {
	err := c.pipeConn.Close()
	c.path.end(&c.path.down)
	return err
}

// LocalAddr returns that of the far end's connection.
func (c *LinkConn) LocalAddr() net.Addr { return c.path.up.to.LocalAddr() }

// RemoteAddr returns that of the far end's connection.
func (c *LinkConn) RemoteAddr() net.Addr { return c.path.up.to.RemoteAddr() }

// RoundTrips returns how many round trips were needed for what the client has
// received until now; TCP's own handshake is none of them.
//
// They are counted by a logical clock, not timed. What a client writes is in
// the flight after the latest one from which it has received an answer; what a
// server writes answers the latest flight that it has received. So the count
// is exact where neither side takes longer than the RTT to answer, and too
// high otherwise: RTT should be 50 ms or more.
func (c *LinkConn) RoundTrips() int { return c.path.roundTrips() }

// A linkPath is one connection on its way through a link.
type linkPath struct {
	near, far net.Conn
	up, down  linkHalf
	tasks     sync.WaitGroup
	mu        sync.Mutex // guards both halves
}

func (l *Link) start(near, far net.Conn) *linkPath {
	p := &linkPath{near: near, far: far}
	p.up.init(l, p, near, far)
	p.down.init(l, p, far, near)
	p.up.back, p.down.back = &p.down, &p.up
	// The server's first word answers the first flight: TCP's last ACK.
	p.up.flight.Store(1)
	p.down.departs = time.Now().Add(l.RTT / 2)
	for _, h := range []*linkHalf{&p.up, &p.down} {
		p.tasks.Go(h.receive)
		p.tasks.Go(h.deliver)
	}
	return p
}

func (p *linkPath) roundTrips() int { return int(p.down.flight.Load()) }

// end makes one direction drop what it has and still gets. With the second
// one the connection is over.
func (p *linkPath) end(h *linkHalf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.over = true
	h.chunks, h.size = nil, 0
	if h.timer != nil {
		h.timer.Stop()
	}
	h.arrived.Broadcast()
	h.room.Broadcast()
	if p.up.over && p.down.over {
		p.near.Close()
		p.far.Close()
	}
}

// A linkHalf is one direction: a queue of chunks, and two goroutines that fill
// and drain it until the direction ends, or both connections are closed.
type linkHalf struct {
	link     *Link
	path     *linkPath
	back     *linkHalf // the other direction
	from, to net.Conn
	flight   atomic.Int64 // the latest one that was delivered, or answered
	limit    int          // of size
	chunk    int          // bytes of a chunk at most

	// The path's mutex guards these.
	arrived sync.Cond // there is a chunk, or its time has come
	room    sync.Cond // size is less
	chunks  []linkChunk
	size    int         // of chunks
	departs time.Time   // when the last chunk has left
	timer   *time.Timer // of the first chunk
	over    bool        // nothing is delivered any more
}

// A linkChunk is some bytes on their way; without bytes, the end of them.
type linkChunk struct {
	data   []byte
	due    time.Time
	flight int64
}

func (h *linkHalf) init(l *Link, p *linkPath, from, to net.Conn) {
	h.link, h.path, h.from, h.to = l, p, from, to
	h.arrived.L, h.room.L = &p.mu, &p.mu
	h.limit, h.chunk = linkFlight, linkChunkMax
	if l.Rate > 0 {
		h.limit = int(float64(l.Rate)*l.RTT.Seconds()/2) + linkBacklog
		// About a millisecond of the rate, so that bytes do not wait for many others.
		h.chunk = int(min(max(l.Rate/1000, linkChunkMin), linkChunkMax))
	}
}

// linkBuffers are of linkChunkMax bytes.
var linkBuffers = sync.Pool{New: func() any { return new([linkChunkMax]byte) }}

// receive puts what one end sends onto the path.
func (h *linkHalf) receive() {
	buf := linkBuffers.Get().(*[linkChunkMax]byte)
	for {
		n, err := h.from.Read(buf[:h.chunk])
		if n > 0 {
			data := buf[:n]
			if n < linkChunkMax/2 {
				data = append([]byte(nil), data...) // little must not hold much
			} else {
				buf = linkBuffers.Get().(*[linkChunkMax]byte)
			}
			h.send(data)
		}
		if err != nil {
			linkBuffers.Put(buf)
			h.send(nil)
			if c, ok := h.from.(*pipeConn); ok && c.hungUp() {
				h.path.end(h.back)
			}
			return
		}
	}
}

// hungUp tells whether the peer has closed its end, and not CloseWrite only.
// What is on its way there is lost.
func (c *pipeConn) hungUp() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.reader.closed != nil
}

// send gives data to the path, and waits while that is full. Bytes leave one
// after the other, at the rate of the link.
func (h *linkHalf) send(data []byte) {
	h.path.mu.Lock()
	defer h.path.mu.Unlock()
	if h.over {
		return
	}
	flight := h.back.flight.Load()
	if h == &h.path.up {
		flight++
	}
	if now := time.Now(); h.departs.Before(now) {
		h.departs = now
	}
	if h.link.Rate > 0 {
		seconds := float64(len(data)) / float64(h.link.Rate)
		h.departs = h.departs.Add(time.Duration(seconds * float64(time.Second)))
	}
	h.chunks = append(h.chunks, linkChunk{data, h.departs.Add(h.link.RTT / 2), flight})
	h.size += len(data) + linkOverhead
	if len(h.chunks) == 1 {
		h.arrived.Signal()
	}
	for h.size > h.limit && !h.over {
		h.room.Wait()
	}
}

// deliver gives each chunk to the other end when it is due.
func (h *linkHalf) deliver() {
	defer h.path.end(h)
	for {
		c, ok := h.next()
		if !ok {
			return
		}
		// First, because an answer may come before Write returns. A server that
		// hangs up answers nothing.
		if c.data != nil || h == &h.path.up {
			h.flight.Store(c.flight)
		}
		if c.data == nil {
			closeWrite(h.to)
			return
		}
		if _, err := h.to.Write(c.data); err != nil {
			return // nobody is there to read
		}
		if cap(c.data) == linkChunkMax {
			linkBuffers.Put((*[linkChunkMax]byte)(c.data[:linkChunkMax]))
		}
	}
}

// next waits for a chunk until it is due. It returns false when the direction
// is over.
func (h *linkHalf) next() (linkChunk, bool) {
	h.path.mu.Lock()
	defer h.path.mu.Unlock()
	for !h.over {
		if len(h.chunks) > 0 {
			c := h.chunks[0]
			wait := time.Until(c.due)
			if wait <= 0 {
				h.chunks[0] = linkChunk{}
				h.chunks = h.chunks[1:]
				h.size -= len(c.data) + linkOverhead
				h.room.Signal()
				return c, true
			}
			h.wake(wait)
		}
		h.arrived.Wait()
	}
	return linkChunk{}, false
}

// wake has next look again after a while.
func (h *linkHalf) wake(wait time.Duration) {
	if h.timer != nil {
		h.timer.Reset(wait)
		return
	}
	h.timer = time.AfterFunc(wait, func() {
		h.path.mu.Lock()
		defer h.path.mu.Unlock()
		h.arrived.Signal()
	})
}

// closeWrite ends one direction of a connection, or all of one that cannot.
func closeWrite(c net.Conn) {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		return
	}
	c.Close()
}

// A LinkProxy puts connections of other processes through a [Link]. Its
// methods may be called concurrently.
type LinkProxy struct {
	Addr string // where it listens: "127.0.0.1:" and the port

	link     *Link
	to       string
	listener net.Listener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	paths  []*linkPath // in the order of their connections
	closed bool
}

// Proxy listens on loopback, and connects each client through the link to the
// TCP address of a server. The caller must call Close.
func (l *Link) Proxy(addr string) (*LinkProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sshtest: %w", err)
	}
	p := &LinkProxy{Addr: listener.Addr().String(), link: l, to: addr, listener: listener}
	p.tasks.Go(p.accept)
	return p, nil
}

// accept connects clients until the proxy is closed. A server that cannot be
// reached is one that hangs up.
func (p *LinkProxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		p.add(near, far)
	}
}

func (p *LinkProxy) add(near, far net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := p.link.start(near, far)
	p.paths = append(p.paths, path)
	if p.closed {
		path.abort()
	}
}

// RoundTrips returns the round trips of each connection until now, in the
// order in which they were made, as [LinkConn.RoundTrips] counts them.
func (p *LinkProxy) RoundTrips() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	trips := make([]int, len(p.paths))
	for i, path := range p.paths {
		trips[i] = path.roundTrips()
	}
	return trips
}

// Close ends the proxy and all its connections at once, and waits until
// nothing of it still runs.
func (p *LinkProxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, path := range p.paths {
		path.abort()
	}
	p.mu.Unlock()
	p.tasks.Wait()
	for _, path := range p.paths {
		path.tasks.Wait()
	}
	return err
}

// abort drops what is on its way, too.
func (p *linkPath) abort() {
	p.end(&p.up)
	p.end(&p.down)
}
