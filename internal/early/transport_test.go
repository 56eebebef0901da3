package early_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/early"
)

// below is a transport that records packets; with stuck its writes wait for Close.
type below struct {
	stuck   bool
	mu      sync.Mutex
	packets [][]byte
	once    sync.Once
	closed  chan struct{}
}

func newBelow() *below { return &below{closed: make(chan struct{})} }

func (b *below) ReadPacket() ([]byte, error) { return []byte{94}, nil }

func (b *below) WritePacket(p []byte) error {
	if b.stuck {
		<-b.closed
		return io.ErrClosedPipe
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.packets = append(b.packets, append([]byte(nil), p...))
	return nil
}

func (b *below) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func TestPacketsAreHeldUntilOpen(t *testing.T) {
	for _, sent := range []bool{true, false} {
		b := newBelow()
		h := early.Hold(b)
		packet := []byte{90}
		require.NoError(t, h.Batch(func() error { return h.WritePacket(packet) }))
		packet[0] = 0 // the transport has a copy
		require.NoError(t, h.WritePacket([]byte{98}))
		require.Equal(t, [][]byte{{90}, {98}}, h.Held())
		require.Empty(t, b.packets)

		require.NoError(t, h.Open(t.Context(), sent))
		require.NoError(t, h.WritePacket([]byte{96}))
		want := [][]byte{{90}, {98}, {96}}
		if sent {
			want = want[2:]
		}
		require.Equal(t, want, b.packets)
		require.Empty(t, h.Held())
	}
}

// Nothing is direct and nothing is read before Open; afterwards a transport without
// optional powers is served all the same.
func TestPowersOfTheTransportBelow(t *testing.T) {
	h := early.Hold(newBelow())
	ok, more, err := h.TryBatch(func() error { panic("not open") })
	require.False(t, ok || more)
	require.NoError(t, err)
	require.Nil(t, h.PacketBuffer(10))
	select {
	case <-h.Readable():
		t.Fatal("readable before Open")
	default:
	}
	notified := 0
	h.NotifyWait(func() { notified++ })
	require.NoError(t, h.Open(t.Context(), false))
	<-h.Readable()
	p, err := h.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{94}, p)
	require.Equal(t, 1, notified)
	require.NoError(t, h.Flush())
	require.NoError(t, h.Unimplemented())
	require.NoError(t, h.Close())
}

func TestContextEndsAWriteOfHeldPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBelow()
		b.stuck = true
		h := early.Hold(b)
		require.NoError(t, h.WritePacket([]byte{90}))
		ctx, cancel := context.WithCancelCause(t.Context())
		opened := make(chan error)
		go func() { opened <- h.Open(ctx, false) }()
		synctest.Wait()
		cause := errors.New("called off")
		cancel(cause)
		err := <-opened
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
	})
}
