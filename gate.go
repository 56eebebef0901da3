package nacre

import (
	"bytes"
	"context"
	"sync"

	"github.com/nacre-ssh/nacre/transport"
)

// gate is a transport for a connection layer that starts before authentication
// is over. What it writes is kept, to leave behind the request that
// authenticates the user, and it reads nothing until the gate is opened.
type gate struct {
	*transport.Conn
	opened chan struct{}

	mu   sync.Mutex
	open bool
	kept [][]byte
}

func newGate(t *transport.Conn) *gate {
	return &gate{Conn: t, opened: make(chan struct{})}
}

// packets returns what is kept.
func (g *gate) packets() [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept
}

// letThrough opens the gate, once the user is authenticated. What is kept was
// sent already, or leaves now: that may wait for a key exchange, which somebody
// must be reading for, and ends with ctx.
func (g *gate) letThrough(ctx context.Context, sent bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.open = true
	kept := g.kept
	g.kept = nil
	if sent {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { g.Conn.Close() })
	err := g.Conn.WritePackets(kept...)
	if !stop() {
		return withCause(ctx, ctx.Err())
	}
	return err
}

// WritePackets keeps packets while the gate is not open.
func (g *gate) WritePackets(packets ...[]byte) error {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return g.Conn.WritePackets(packets...)
	}
	defer g.mu.Unlock()
	for _, p := range packets {
		g.kept = append(g.kept, bytes.Clone(p))
	}
	return nil
}

// WritePacket is WritePackets for one.
func (g *gate) WritePacket(packet []byte) error { return g.WritePackets(packet) }

// TryWritePackets takes nothing while the gate is not open, or being opened,
// which may take long.
func (g *gate) TryWritePackets(packets [][2][]byte) (n int, more bool, err error) {
	if !g.mu.TryLock() {
		return 0, false, nil
	}
	open := g.open
	g.mu.Unlock()
	if !open {
		return 0, false, nil
	}
	return g.Conn.TryWritePackets(packets)
}

// Opened tells when there is something to read.
func (g *gate) Opened() <-chan struct{} { return g.opened }
