package connection_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

const (
	benchPacket = 32 << 10
	benchWindow = 2 << 20
)

// mill is a transport and its peer in one, and costs next to nothing: a mill has data for a
// single channel as long as there is window, takes any amount of data and grants window.
type mill struct {
	data   []byte // a packet of data
	buffer []byte // of the writer

	mu      sync.Mutex
	changed sync.Cond
	replies [][]byte // packets to be read before any data
	opened  bool
	window  int // ours to send data
	taken   int // bytes of data not given back as window
	closed  bool
}

func newMill(down bool) *mill {
	m := &mill{}
	m.changed.L = &m.mu
	if down {
		m.data = marshal(&dataMsg{0, make([]byte, benchPacket)})
	}
	return m
}

func (m *mill) ReadPacket() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case m.closed:
			return nil, net.ErrClosed
		case len(m.replies) > 0:
			reply := m.replies[0]
			m.replies = m.replies[:copy(m.replies, m.replies[1:])]
			return reply, nil
		case m.data != nil && m.opened && m.window >= benchPacket:
			m.window -= benchPacket
			return m.data, nil
		case m.taken >= benchWindow/8:
			adjust := marshal(&adjustMsg{0, uint32(m.taken)})
			m.taken = 0
			return adjust, nil
		}
		m.changed.Wait()
	}
}

func (m *mill) WritePacket(packet []byte) error {
	m.take(packet)
	return nil
}

func (m *mill) Batch(write func() error) error { return write() }

func (m *mill) TryBatch(write func() error) (ok, more bool, err error) { return true, false, write() }

func (m *mill) Flush() error { return nil }

func (m *mill) PacketBuffer(size int) []byte {
	m.buffer = slices.Grow(m.buffer[:0], size)
	return m.buffer
}

func (m *mill) take(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p[0] {
	case 90:
		m.opened = true
		m.window = benchWindow
		m.replies = append(m.replies, marshal(&confirmMsg{0, 0, benchWindow, benchPacket, nil}))
	case 93:
		m.window += int(binary.BigEndian.Uint32(p[5:]))
	case 94:
		m.taken += len(p) - 9
	}
	if len(m.replies) > 0 || m.taken >= benchWindow/8 || m.data != nil {
		m.changed.Signal()
	}
}

func (m *mill) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.changed.Broadcast()
	return nil
}

// benchmark moves b.N packets of data by f.
func benchmark(b *testing.B, down bool, f func(ch *connection.Channel, size int64) error) {
	c := connection.New(newMill(down), nil)
	defer c.Close()
	ch, err := c.OpenChannel(b.Context(), "session", nil, nil)
	require.NoError(b, err)
	b.SetBytes(benchPacket)
	b.ReportAllocs()
	b.ResetTimer()
	require.NoError(b, f(ch, int64(b.N)*benchPacket))
	b.StopTimer()
}

func BenchmarkRead(b *testing.B) {
	benchmark(b, true, func(ch *connection.Channel, size int64) error {
		buf := make([]byte, benchPacket)
		for size > 0 {
			n, err := ch.Read(buf[:min(size, benchPacket)])
			if err != nil {
				return err
			}
			size -= int64(n)
		}
		return nil
	})
}

// sink takes a number of bytes.
type sink struct{ left int64 }

func (s *sink) Write(p []byte) (int, error) {
	n := min(int64(len(p)), s.left)
	s.left -= n
	if s.left == 0 {
		return int(n), io.ErrShortWrite
	}
	return int(n), nil
}

func BenchmarkWriteTo(b *testing.B) {
	benchmark(b, true, func(ch *connection.Channel, size int64) error {
		_, err := ch.WriteTo(&sink{size})
		if err == io.ErrShortWrite {
			err = nil
		}
		return err
	})
}

func BenchmarkWrite(b *testing.B) {
	benchmark(b, false, func(ch *connection.Channel, size int64) error {
		buf := make([]byte, benchPacket)
		for ; size > 0; size -= benchPacket {
			if _, err := ch.Write(buf); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkReadFrom(b *testing.B) {
	benchmark(b, false, func(ch *connection.Channel, size int64) error {
		_, err := ch.ReadFrom(io.LimitReader(neverEnding{}, size))
		return err
	})
}

func benchmarkThroughput(b *testing.B, run func(b *testing.B, ours, theirs *connection.Channel)) {
	left, right := pipe()
	left.out.setLimit(1 << 20)
	right.out.setLimit(1 << 20)
	a, z := connection.New(left, nil), connection.New(right, nil)
	defer a.Close()
	defer z.Close()
	accepted := make(chan *connection.Channel, 1)
	z.HandleOpen("bench", func(_ context.Context, o *connection.Open) {
		ch, _ := o.Accept(nil)
		accepted <- ch
	})
	ours := openTo(b, a, "bench")
	run(b, ours, <-accepted)
}

func BenchmarkThroughput(b *testing.B) {
	for name, sink := range map[string]func(ch *connection.Channel) error{
		"Read": func(ch *connection.Channel) error {
			p := make([]byte, 32<<10)
			for {
				if _, err := ch.Read(p); err != nil {
					return err
				}
			}
		},
		"WriteTo": func(ch *connection.Channel) error { _, err := ch.WriteTo(onlyWriter{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			benchmarkThroughput(b, func(b *testing.B, ours, theirs *connection.Channel) {
				done := call(func() error { return sink(theirs) })
				p := make([]byte, 32<<10)
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := ours.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				_ = ours.Close()
				<-done
			})
		})
	}
}

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }
