package early

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// Transport is the transport of a connection layer that starts before
// authentication is over. Until [Transport.Open], the packets of the connection
// layer are held, to leave behind the request that authenticates the user, and
// nothing is read. Afterwards all calls go to the transport below. Its optional
// powers are the powers named by package connection.
type Transport struct {
	below connection.Transport
	ready chan struct{} // closed by Open

	open    atomic.Bool
	mu      sync.Mutex // guards the rest, and orders held packets before later packets
	held    [][]byte
	waiting func() // called before a read where the transport below calls nothing
}

var (
	_ connection.TryBatcher     = (*Transport)(nil)
	_ connection.WaitNotifier   = (*Transport)(nil)
	_ connection.Unimplementer  = (*Transport)(nil)
	_ connection.EarlyTransport = (*Transport)(nil)
)

// Hold returns a Transport over below. userauth goes on using below meanwhile.
func Hold(below connection.Transport) *Transport {
	return &Transport{below: below, ready: make(chan struct{})}
}

// Held returns the packets held so far.
func (t *Transport) Held() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// Open lets the connection layer through, once the user is authenticated. sent
// reports whether userauth has sent the held packets: if so, Open drops the
// packets, and else sends them. The write may wait for a key exchange, and the
// reader of the connection layer takes part in the exchange. When ctx ends
// meanwhile, the transport is closed and ctx's error returned.
func (t *Transport) Open(ctx context.Context, sent bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.ready)
	held := t.held
	t.held = nil
	defer t.open.Store(true)
	if sent || len(held) == 0 {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { t.below.Close() })
	err := t.batch(func() error {
		for _, p := range held {
			if err := t.below.WritePacket(p); err != nil {
				return err
			}
		}
		return nil
	})
	if !stop() {
		return ctxerr.Of(ctx)
	}
	return err
}

// WritePacket holds a copy of the packet while the transport is not open.
func (t *Transport) WritePacket(packet []byte) error {
	if !t.open.Load() {
		t.mu.Lock()
		defer t.mu.Unlock() // also of a packet during Open
		if !t.open.Load() {
			t.held = append(t.held, bytes.Clone(packet))
			return nil
		}
	}
	return t.below.WritePacket(packet)
}

// Batch is the Batch of the transport below, or calls write where the transport
// below has no Batch.
func (t *Transport) Batch(write func() error) error {
	if !t.open.Load() {
		return write()
	}
	return t.batch(write)
}

func (t *Transport) batch(write func() error) error {
	if b, ok := t.below.(connection.Batcher); ok {
		return b.Batch(write)
	}
	return write()
}

// TryBatch takes nothing while the transport is not open: Open may take long.
func (t *Transport) TryBatch(write func() error) (ok, more bool, err error) {
	if b, able := t.below.(connection.TryBatcher); able && t.open.Load() {
		return b.TryBatch(write)
	}
	return false, false, nil
}

// PacketBuffer is nil where the transport below has none to lend.
func (t *Transport) PacketBuffer(size int) []byte {
	if b, ok := t.below.(connection.TryBatcher); ok && t.open.Load() {
		return b.PacketBuffer(size)
	}
	return nil
}

// Flush sends the leftovers of a TryBatch of the transport below.
func (t *Transport) Flush() error {
	if b, ok := t.below.(connection.TryBatcher); ok && t.open.Load() {
		return b.Flush()
	}
	return nil
}

// NotifyWait sets a function to be called before reads that wait, and before
// every read where the transport below has no NotifyWait.
func (t *Transport) NotifyWait(waiting func()) {
	if n, ok := t.below.(connection.WaitNotifier); ok {
		n.NotifyWait(waiting)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = waiting
}

// ReadPacket waits for Open first.
func (t *Transport) ReadPacket() ([]byte, error) {
	if !t.open.Load() {
		<-t.ready
	}
	if waiting := t.waiting; waiting != nil {
		waiting()
	}
	return t.below.ReadPacket()
}

// Unimplemented passes over unknown messages where the transport below cannot
// answer them.
func (t *Transport) Unimplemented() error {
	if u, ok := t.below.(connection.Unimplementer); ok {
		return u.Unimplemented()
	}
	return nil
}

// Readable returns a channel. Open closes the channel.
func (t *Transport) Readable() <-chan struct{} { return t.ready }

// Close closes the transport below.
func (t *Transport) Close() error { return t.below.Close() }
