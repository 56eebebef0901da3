package connection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// The messages of RFC 4254, by short names.
type (
	globalRequestMsg  wire.GlobalRequestMsg
	requestSuccessMsg wire.RequestSuccessMsg
	requestFailureMsg wire.RequestFailureMsg
	openMsg           wire.ChannelOpenMsg
	confirmMsg        wire.ChannelOpenConfirmMsg
	openFailureMsg    wire.ChannelOpenFailureMsg
	adjustMsg         wire.ChannelWindowAdjustMsg
	dataMsg           wire.ChannelDataMsg
	extendedMsg       wire.ChannelExtendedDataMsg
	eofMsg            wire.ChannelEOFMsg
	closeMsg          wire.ChannelCloseMsg
	requestMsg        wire.ChannelRequestMsg
	successMsg        wire.ChannelSuccessMsg
	failureMsg        wire.ChannelFailureMsg
)

// peer is the other end of a connection, scripted by the test.
type peer struct {
	t *testing.T
	*end
	ours *end // the end of the connection under test
}

// start returns a connection under test and its peer.
func start(t *testing.T, config *connection.Config) (*connection.Conn, *peer) {
	ours, theirs := pipe()
	c := connection.New(ours, config)
	p := &peer{t: t, end: theirs, ours: ours}
	t.Cleanup(func() {
		_ = c.Close()
		_ = p.Close()
	})
	return c, p
}

func (p *peer) send(messages ...any) {
	p.t.Helper()
	for _, m := range messages {
		packet, raw := m.([]byte)
		if !raw {
			packet = ssh.Marshal(m)
		}
		require.NoError(p.t, p.WritePacket(packet))
	}
}

// expect reads a packet that must be a message of type M.
func expect[M any](p *peer) M {
	p.t.Helper()
	packet, err := p.ReadPacket()
	require.NoError(p.t, err)
	var m M
	require.NoError(p.t, ssh.Unmarshal(bytes.Clone(packet), &m), "got message %d", packet[0])
	return m
}

// quiet fails the test if the connection has sent anything. The caller has
// waited until nothing moves.
func (p *peer) quiet() {
	p.t.Helper()
	require.Zero(p.t, p.in.length())
}

const (
	peerWindow    = 1 << 20
	peerMaxPacket = 32 << 10
)

// open opens a channel, whose number at the peer is 1000 more than ours.
func (p *peer) open(c *connection.Conn, h connection.RequestFunc) (*connection.Channel, uint32) {
	p.t.Helper()
	return p.openWith(c, h, peerWindow, peerMaxPacket)
}

func (p *peer) openWith(
	c *connection.Conn, h connection.RequestFunc, window, maxPacket uint32,
) (*connection.Channel, uint32) {
	p.t.Helper()
	opened := async(func() (*connection.Channel, error) {
		return c.OpenChannel(context.Background(), "session", nil, h)
	})
	m := expect[openMsg](p)
	p.send(&confirmMsg{Recipient: m.Sender, Sender: m.Sender + 1000, Window: window, MaxPacket: maxPacket})
	got := <-opened
	require.NoError(p.t, got.err)
	return got.value, m.Sender
}

type result[V any] struct {
	value V
	err   error
}

// async calls f on a goroutine of its own.
func async[V any](f func() (V, error)) <-chan result[V] {
	done := make(chan result[V], 1)
	go func() {
		value, err := f()
		done <- result[V]{value, err}
	}()
	return done
}

// call is async for functions with only an error.
func call(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func marshal(m any) []byte { return ssh.Marshal(m) }

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// fill stops reading, and has the connection queue requests until there is room
// for no more.
func (p *peer) fill(c *connection.Conn) {
	p.t.Helper()
	p.in.setLimit(-1)
	for range 5 {
		_, err := c.SendRequest(p.t.Context(), "x", false, make([]byte, 100<<10))
		require.NoError(p.t, err)
		synctest.Wait()
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func heap() int64 {
	runtime.GC()
	runtime.GC() // the second run empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// goroutines counts the goroutines of the caller's bubble, without those of the runtime or of
// an earlier test.
func goroutines() int {
	buffer := make([]byte, 4<<20)
	return bytes.Count(buffer[:runtime.Stack(buffer, true)], []byte(", synctest bubble "))
}
