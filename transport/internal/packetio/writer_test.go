package packetio_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

func TestNothingIsAllocatedForAPacket(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		for name, below := range belows {
			near, far := below(t)
			p := packetio.NewPackets(cipher, mac, near)
			for _, size := range []int{1, 100, 32 << 10} {
				payload := make([]byte, size)
				require.LessOrEqual(t, testing.AllocsPerRun(50, func() {
					if _, err := far.Write(p.Seal(payload)); err != nil {
						panic(err)
					}
					if _, err := p.Open(); err != nil {
						panic(err)
					}
				}), float64(allocsPerPacket), "%d bytes, %s", size, name)
			}
		}
	})
}

// gathered returns a Writer over memory, and the memory.
func gathered() (*packetio.Writer, *loop) {
	w, l := new(packetio.Writer), new(loop)
	w.Init(l)
	return w, l
}

// read opens all packets written.
func (l *loop) read(t *testing.T) [][]byte {
	t.Helper()
	payloads, _ := open("", "", l.Bytes())
	l.Reset()
	return payloads
}

func TestPacketsThatAreHeldLeaveWithTheNext(t *testing.T) {
	w, l := gathered()
	w.Borrow()
	require.NoError(t, w.Seal([]byte{1}))
	w.Hold()
	require.True(t, w.Holding())
	require.NoError(t, w.Flush())
	w.GiveBack(true)
	require.False(t, w.Left(), "they need no buffer")
	require.Empty(t, l.read(t))

	w.Borrow()
	require.NoError(t, w.Seal([]byte{2}))
	require.False(t, w.Holding())
	require.NoError(t, w.Flush())
	require.Equal(t, [][]byte{{1}, {2}}, l.read(t))
}

func TestPacketsThatAreLeftLeaveFirst(t *testing.T) {
	w, l := gathered()
	for _, keep := range []bool{true, false} {
		w.Borrow()
		require.NoError(t, w.Seal([]byte{1}))
		w.GiveBack(keep)
		require.Equal(t, keep, w.Left())
		w.Borrow()
		require.NoError(t, w.Seal([]byte{2}))
		require.NoError(t, w.Flush())
		w.GiveBack(keep)
		require.False(t, w.Left())
		if keep {
			require.Equal(t, [][]byte{{1}, {2}}, l.read(t))
		}
	}
}

func TestPayloadThatIsInTheBuffer(t *testing.T) {
	w, l := gathered()
	w.Borrow()
	defer w.GiveBack(false)
	other := []byte{9}
	for n := range byte(10) {
		b := append(w.Buffer(100), 90, n)
		require.True(t, w.InBuffer(b))
		require.True(t, w.InBuffer(b[:1]))
		require.False(t, w.InBuffer(b[1:]))
		require.False(t, w.InBuffer(other))
		require.False(t, w.InBuffer(nil))
		require.NoError(t, w.Seal(b))
		require.False(t, w.InBuffer(b), "the next one is elsewhere")
	}
	require.Greater(t, cap(w.Buffer(1<<18)), 1<<18-1)
	require.NoError(t, w.Flush())
	for n, p := range l.read(t) {
		require.Equal(t, []byte{90, byte(n)}, p)
	}
}

func TestRoomOfABuffer(t *testing.T) {
	w, l := gathered()
	w.Borrow()
	defer w.GiveBack(false)
	require.True(t, w.Fits(200<<10), "an empty buffer takes any packet")
	for range 4 {
		require.True(t, w.Fits(32<<10))
		require.NoError(t, w.Seal(make([]byte, 32<<10)))
	}
	require.True(t, w.Fits(1000))
	require.False(t, w.Fits(32<<10))
	require.NoError(t, w.Seal(bytes.Repeat([]byte{7}, 200<<10)), "the buffer grows")
	require.NoError(t, w.Flush())
	require.True(t, w.Fits(32<<10))
	require.Greater(t, l.Len(), 328<<10)
	require.Equal(t, packetio.Usage{Packets: 5, Bytes: int64(l.Len())}, w.KeyUsage())
	require.False(t, w.CanTry(), "memory is no socket")
}
