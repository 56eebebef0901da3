package sshtest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Link is a network path with a delay and a rate, for tests and measurements
// against servers that are far away. A Link may carry many connections, each
// with the whole rate. Time passes by timers only, so that a Link over [Pipe]
// suits a bubble of testing/synctest. Close both ends there, for time stands
// still after the test's function.
//
// A connection holds the bytes that a reader has not taken yet, and the bytes
// on their way: at most Rate*RTT*2 bytes and 16 MiB, or 128 MiB if Rate is 0.
// While the path is full, writers wait, as in TCP.
type Link struct {
	RTT  time.Duration // half of it each way
	Rate int64         // bytes for each second, in each direction; 0 is unlimited
}

const (
	linkChunkMax  = 64 << 10 // bytes that travel together
	linkChunkMin  = 1 << 10
	linkBacklog   = 4 << 20  // bytes that may wait for their turn, with a rate
	linkInTransit = 32 << 20 // bytes that may be on their way, without a rate
	linkOverhead  = 256      // the cost of a chunk beside its bytes
)

// Conn returns the near end of the link to c, a connection to a server, and
// owns c. As in TCP, the server learns of the connection RTT/2 after the
// client, and the server's first bytes arrive one RTT from now.
func (l *Link) Conn(c net.Conn) *LinkConn {
	client, near := Pipe()
	return &LinkConn{client.(*pipeConn), l.start(near, c)}
}

// A LinkConn is a client's connection through a [Link]. Close takes no time,
// and bytes written before still arrive in their time. A far end that fails
// seems to hang up. A far end without CloseWrite is closed at the end of the
// client's direction.
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

// LocalAddr returns the local address of the far end's connection.
func (c *LinkConn) LocalAddr() net.Addr { return c.path.up.to.LocalAddr() }

// RemoteAddr returns the remote address of the far end's connection.
func (c *LinkConn) RemoteAddr() net.Addr { return c.path.up.to.RemoteAddr() }

// RoundTrips returns the number of round trips before the client's latest
// bytes, without TCP's own handshake.
//
// A logical clock counts the round trips, instead of a measurement. The
// client's bytes belong to the flight after the latest flight with a received
// answer; the server's bytes answer the latest flight received. So the count
// is exact if both sides answer within the RTT, and too high otherwise: RTT
// should be at least 50 ms.
func (c *LinkConn) RoundTrips() int { return c.path.roundTrips() }

// A linkPath is a connection on its way through a link.
type linkPath struct {
	near, far net.Conn
	up, down  linkHalf
	tasks     sync.WaitGroup
	mu        sync.Mutex // guards both halves
}

// start connects near and far through the link, and owns both. Four goroutines
// carry the bytes, and end with the two connections.
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

// end makes one direction drop all its bytes, now and later. With the second
// direction the connection ends.
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
// and drain the queue until the direction ends, or until both connections are
// closed.
type linkHalf struct {
	link     *Link
	path     *linkPath
	back     *linkHalf // the other direction
	from, to net.Conn
	flight   atomic.Int64 // the latest flight delivered, or answered
	limit    int          // of size
	chunk    int          // bytes of a chunk at most

	// The path's mutex guards these.
	arrived sync.Cond // after a chunk came, or became due
	room    sync.Cond // size is less
	chunks  []linkChunk
	size    int         // of chunks
	departs time.Time   // when the last chunk has left
	timer   *time.Timer // of the first chunk
	over    bool        // no more deliveries
}

// A linkChunk is some bytes on their way. A chunk without bytes is the end of
// the stream.
type linkChunk struct {
	data   []byte
	due    time.Time
	flight int64
}

// init sets the bounds of a direction: how many bytes may wait or travel, and
// how many travel together.
func (h *linkHalf) init(l *Link, p *linkPath, from, to net.Conn) {
	h.link, h.path, h.from, h.to = l, p, from, to
	h.arrived.L, h.room.L = &p.mu, &p.mu
	h.limit, h.chunk = linkInTransit, linkChunkMax
	if l.Rate > 0 {
		h.limit = int(float64(l.Rate)*l.RTT.Seconds()/2) + linkBacklog
		// About a millisecond of the rate, so that bytes do not wait for many others.
		h.chunk = int(min(max(l.Rate/1000, linkChunkMin), linkChunkMax))
	}
}

// linkBuffers are of linkChunkMax bytes.
var linkBuffers = sync.Pool{New: func() any { return new([linkChunkMax]byte) }}

// receive puts the bytes from one end onto the path.
func (h *linkHalf) receive() {
	buf := linkBuffers.Get().(*[linkChunkMax]byte)
	for {
		n, err := h.from.Read(buf[:h.chunk])
		if n > 0 {
			data := buf[:n]
			if n < linkChunkMax/2 {
				data = append([]byte(nil), data...) // few bytes must not hold a large buffer
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

// hungUp reports whether the peer has closed its end, beyond CloseWrite. Bytes
// on their way to the peer are lost.
func (c *pipeConn) hungUp() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.reader.closed != nil
}

// send gives data to the path, and waits while the path is full. Bytes leave
// at the rate of the link.
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

// deliver gives each chunk to the other end at its time.
func (h *linkHalf) deliver() {
	defer h.path.end(h)
	for {
		c, ok := h.next()
		if !ok {
			return
		}
		// An answer may come before Write returns, so the flight changes before.
		// A server that hangs up answers nothing.
		if c.data != nil || h == &h.path.up {
			h.flight.Store(c.flight)
		}
		if c.data == nil {
			closeWrite(h.to)
			return
		}
		if _, err := h.to.Write(c.data); err != nil {
			return // there is no reader
		}
		if cap(c.data) == linkChunkMax {
			linkBuffers.Put((*[linkChunkMax]byte)(c.data[:linkChunkMax]))
		}
	}
}

// next waits until a chunk is due. ok is false at the end of the direction.
func (h *linkHalf) next() (c linkChunk, ok bool) {
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

// wake makes next look again after a while.
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

// closeWrite ends one direction of a connection, or both directions of a
// connection without CloseWrite.
func closeWrite(c net.Conn) {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		return
	}
	c.Close()
}

// A LinkProxy puts connections of other processes through a [Link]. All
// methods may be called concurrently.
type LinkProxy struct {
	Addr string // of the listener: "127.0.0.1:" and the port

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

// accept connects clients until the proxy is closed. An unreachable server
// seems to hang up.
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

// add starts a path between a client and the server. A proxy that was closed
// meanwhile ends the path at once.
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
// order of the connections. [LinkConn.RoundTrips] says how to count.
func (p *LinkProxy) RoundTrips() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	trips := make([]int, len(p.paths))
	for i, path := range p.paths {
		trips[i] = path.roundTrips()
	}
	return trips
}

// Close ends the proxy and all its connections at once, and waits for the end
// of all goroutines.
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

// abort drops all bytes on their way, in both directions.
func (p *linkPath) abort() {
	p.end(&p.up)
	p.end(&p.down)
}
