package connection

import "sync"

// Sizes of segments. A stream with a few bytes waiting holds a small one, so
// that many such streams together hold little.
const (
	smallSegment = 2 << 10
	largeSegment = 32 << 10
)

var (
	smallSegments = sync.Pool{New: func() any { return newSegment(smallSegment) }}
	largeSegments = sync.Pool{New: func() any { return newSegment(largeSegment) }}
)

// segment is a piece of received data, which belongs to the stream it is in or
// to the WriteTo that has taken it out.
type segment struct {
	data  []byte // what has arrived; there may be room behind it
	start int    // how much of data has been read
	next  *segment
}

func newSegment(size int) *segment { return &segment{data: make([]byte, 0, size)} }

func (g *segment) unread() []byte { return g.data[g.start:] }

func (g *segment) release() {
	pool := &largeSegments
	if cap(g.data) == smallSegment {
		pool = &smallSegments
	}
	g.data, g.start, g.next = g.data[:0], 0, nil
	pool.Put(g)
}

// stream is received data that waits to be read: a list of segments each of
// which is full before the next one starts. So it holds at most the channel's
// window and two segments, however small the packets were. The channel's mu
// guards it.
type stream struct {
	ready      sync.Cond // readers wait here
	waiting    int       // how many do
	came, left int       // readers that have ever come, and gone: see awaitData
	due        bool      // they are to be woken; of the read loop
	into       []byte    // of one of them, if that is a Read: data goes there at once
	filled     int       // how much of into that is
	head, tail *segment
	size       int  // bytes unread
	discard    bool // closed for reading
}

// leave is called by a reader that has waited long enough.
func (s *stream) leave() {
	s.left++
	if s.waiting > 0 && s.size > 0 {
		s.ready.Broadcast() // there may be something left for the next one
	}
}

// append takes data in, and returns how much of it a reader has got already.
func (s *stream) append(data []byte) (direct int) {
	if s.size == 0 {
		direct = copy(s.into[s.filled:], data)
		s.filled += direct
		data = data[direct:]
	}
	s.size += len(data)
	for len(data) > 0 {
		if s.tail == nil || len(s.tail.data) == cap(s.tail.data) {
			s.grow(len(data))
		}
		g := s.tail
		n := copy(g.data[len(g.data):cap(g.data)], data)
		g.data = g.data[:len(g.data)+n]
		data = data[n:]
	}
	return direct
}

// grow adds a segment for n further bytes.
func (s *stream) grow(n int) {
	pool := &largeSegments
	if s.head == nil && n <= smallSegment {
		pool = &smallSegments
	}
	g := pool.Get().(*segment)
	if s.tail == nil {
		s.head = g
	} else {
		s.tail.next = g
	}
	s.tail = g
}

// read moves data to p.
func (s *stream) read(p []byte) int {
	total := 0
	for s.head != nil && total < len(p) {
		n := copy(p[total:], s.head.unread())
		s.head.start += n
		total += n
		if s.head.start == len(s.head.data) {
			s.take().release()
		}
	}
	s.size -= total
	return total
}

// take removes the first segment; size still counts it.
func (s *stream) take() *segment {
	g := s.head
	s.head = g.next
	if s.head == nil {
		s.tail = nil
	}
	g.next = nil
	return g
}

// untake puts a segment back in front.
func (s *stream) untake(g *segment) {
	g.next = s.head
	s.head = g
	if s.tail == nil {
		s.tail = g
	}
}

// close makes the stream discard what it has and gets, and returns how much
// it had.
func (s *stream) close() int {
	n := s.size
	for s.head != nil {
		s.take().release()
	}
	s.size = 0
	s.discard = true
	s.ready.Broadcast()
	return n
}
