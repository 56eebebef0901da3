package channel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
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

// packets is a direction of a packet transport in memory.
type packets struct {
	mu      sync.Mutex
	changed sync.Cond
	queue   [][]byte
	stuck   bool // nothing is taken any more
	err     error
}

func newPackets() *packets {
	q := new(packets)
	q.changed.L = &q.mu
	return q
}

func (q *packets) put(p []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.stuck && q.err == nil {
		q.changed.Wait()
	}
	if q.err != nil {
		return q.err
	}
	q.queue = append(q.queue, bytes.Clone(p))
	q.changed.Broadcast()
	return nil
}

// get returns packets put before a failure before the failure.
func (q *packets) get() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) == 0 && q.err == nil {
		q.changed.Wait()
	}
	if len(q.queue) == 0 {
		return nil, q.err
	}
	p := q.queue[0]
	q.queue = q.queue[1:]
	return p, nil
}

func (q *packets) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	q.changed.Broadcast()
}

func (q *packets) fail(err error) {
	q.change(func() {
		if q.err == nil {
			q.err = err
		}
	})
}

func (q *packets) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

// peer is the server, scripted by the test. Its methods make the connection.Transport of the
// client at the other end.
type peer struct {
	t          *testing.T
	fromClient *packets
	toClient   *packets
}

func (p *peer) ReadPacket() ([]byte, error)     { return p.toClient.get() }
func (p *peer) WritePacket(packet []byte) error { return p.fromClient.put(packet) }

func (p *peer) Close() error {
	p.lose(net.ErrClosed)
	return nil
}

// lose ends the transport, once the client has read all packets.
func (p *peer) lose(err error) {
	p.toClient.fail(err)
	p.fromClient.fail(err)
}

// hold makes the client's writes wait for ever.
func (p *peer) hold() { p.fromClient.change(func() { p.fromClient.stuck = true }) }

// start returns a connection and its peer, inside a bubble of synctest.
func start(t *testing.T) (*connection.Conn, *peer) {
	p := &peer{t: t, fromClient: newPackets(), toClient: newPackets()}
	c := connection.New(p, nil)
	t.Cleanup(func() { c.Close() })
	return c, p
}

func (p *peer) send(messages ...any) {
	p.t.Helper()
	for _, m := range messages {
		require.NoError(p.t, p.toClient.put(ssh.Marshal(m)))
	}
}

// expect takes the next packet of the client, which must be a message of type M, sent by the
// time of rest in the bubble.
func expect[M any](p *peer) M {
	p.t.Helper()
	synctest.Wait()
	require.NotZero(p.t, p.fromClient.length(), "the client has sent nothing")
	packet, err := p.fromClient.get()
	require.NoError(p.t, err)
	var m M
	require.NoError(p.t, ssh.Unmarshal(packet, &m), "got message %d", packet[0])
	return m
}

// quiet checks that the client has sent nothing more.
func (p *peer) quiet() {
	p.t.Helper()
	synctest.Wait()
	require.Zero(p.t, p.fromClient.length())
}

const theirID = 77 // of every channel that the client opens

// confirm grants the client's open, and returns the client's number.
func (p *peer) confirm() (id uint32) {
	p.t.Helper()
	m := expect[openMsg](p)
	p.send(confirmMsg{m.Sender, theirID, 1 << 20, 32 << 10, nil})
	return m.Sender
}

// session has the client open a session.
func (p *peer) session(c *connection.Conn) (*channel.Session, uint32) {
	p.t.Helper()
	opened := async(func() (*channel.Session, error) { return channel.NewSession(context.Background(), c) })
	id := p.confirm()
	got := <-opened
	require.NoError(p.t, got.err)
	return got.value, id
}

// command has the client run a command in a new session.
func (p *peer) command(c *connection.Conn) (*channel.Session, uint32) {
	p.t.Helper()
	s, id := p.session(c)
	done := call(func() error { return s.Start(context.Background(), "cmd") })
	expect[requestMsg](p)
	p.send(successMsg{id})
	require.NoError(p.t, <-done)
	return s, id
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

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// str is an SSH string.
func str(s string) string { return string(u32(uint32(len(s)))) + s }

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}
