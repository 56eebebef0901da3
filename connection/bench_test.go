package connection_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

const (
	benchPacket = 32 << 10
	benchWindow = 2 << 20
)

// mill is a transport and its peer in one, which costs next to nothing: it has
// data for one channel for as long as there is window for it, takes any amount
// and grants window for that.
type mill struct {
	data []byte // a packet of data

	mu      sync.Mutex
	changed sync.Cond
	replies [][]byte // packets to be read before any data
	opened  bool
	window  int // ours to send data
	taken   int // data that came and is not given back as window
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

func (m *mill) WritePacket(packet []byte) error { return m.WritePackets(packet) }

func (m *mill) WritePackets(packets ...[]byte) error {
	for _, p := range packets {
		m.take(p, len(p))
	}
	return nil
}

func (m *mill) TryWritePackets(packets [][2][]byte) (n int, more bool, err error) {
	for _, p := range packets {
		m.take(p[0], len(p[0])+len(p[1]))
	}
	return len(packets), false, nil
}

// take takes a packet of that size.
func (m *mill) take(p []byte, size int) {
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
		m.taken += size - 9
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
