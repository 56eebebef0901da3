package connection

import "sync"

// smallSegment and largeSegment are sizes of segments. A stream with a few bytes waiting holds a
// small segment, so that many nearly empty streams hold little.
const (
	smallSegment = 2 << 10
	largeSegment = 32 << 10
)

var (
	smallSegments = sync.Pool{New: func() any { return newSegment(smallSegment) }}
	largeSegments = sync.Pool{New: func() any { return newSegment(largeSegment) }}
)

// segment is a piece of received data. The stream owns its segments; a WriteTo owns the segment
// it has taken out.
type segment struct {
	data  []byte // received bytes; there may be room behind
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

// stream is received data that waits to be read: a list of segments, each full before the next
// begins. So a stream holds at most the channel's window and two segments, however small the
// packets were. The channel's mu guards the stream.
type stream struct {
	ready      sync.Cond // Read waits here
	waiting    int       // readers in ready.Wait
	came, left int       // readers ever come, and ever gone: see awaitData
	due        bool      // its readers are in Conn.wakeups, whose mu guards the field
	into       []byte    // the buffer of a Read that waits; data goes there at once
	filled     int       // bytes of into
	head, tail *segment
	size       int  // bytes unread
	discard    bool // closed for reading
}

// leave is called by a reader at the end of its wait.
func (s *stream) leave() {
	s.left++
	if s.waiting > 0 && s.size > 0 {
		s.ready.Broadcast() // something may be left for the next reader
	}
}

// append takes data in, and returns how many bytes have gone straight to a reader.
func (s *stream) append(data []byte) (handed int) {
	if s.size == 0 {
		handed = copy(s.into[s.filled:], data)
		s.filled += handed
		data = data[handed:]
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
	return handed
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

// take removes the first segment; size still counts the segment's bytes.
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

// close makes the stream discard all data, and returns the number of bytes that waited.
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
