package connection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// FuzzPeer has a byte string script the peer and the program, in turn, while a model of both
// keeps the books: the window granted by each side, the questions and the answers. The bubble
// detects hanging calls and goroutines that are left.
func FuzzPeer(f *testing.F) {
	for _, script := range fuzzSeeds {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { newModel(t, script).play() })
	})
}

// The steps of a script are chosen by their first byte. The number of a channel follows, if the
// step is about a channel, and then the step's arguments.
const (
	stepOpen byte = iota
	stepOpenEarly
	stepConfirm     // window, packet size
	stepConfirmElse // an early channel, by another number
	stepRefuse
	stepData // length
	stepExtended
	stepAdjust // 4 bytes
	stepEOF
	stepClose
	stepWrite // length
	stepRead  // length
	stepReadStderr
	stepCloseWrite
	stepCloseRead
	stepCloseStderr
	stepCloseChannel
	stepPeerRequest   // wants a reply
	stepRequest       // ours
	stepReply         // granted
	stepPeerGlobal    // wants a reply
	stepGlobal        // ours
	stepGlobalReply   // granted
	stepPeerOpen      // window, packet size
	stepRaw           // length, and the packet
	stepTime          // passes, in seconds
	stepAbandonedOpen // whose context ends
	stepFill          // the peer uses up its window
	steps
)

var fuzzSeeds = [][]byte{
	{stepOpen, stepConfirm, 16, 4, stepData, 0, 1, 0, stepRead, 0, 1, 0, stepClose, 0},
	{stepOpen, stepConfirm, 0, 1, stepWrite, 0, 9, 0, stepAdjust, 0, 0, 0, 1, 0, stepAdjust, 0, 255, 255, 255, 255},
	{stepOpen, stepConfirm, 1, 1, stepWrite, 0, 9, 0, stepEOF, 0, stepData, 0, 0, 1, stepClose, 0, stepAdjust, 0, 0, 0, 0, 1, stepData, 0, 0, 1},
	{stepOpen, stepConfirm, 1, 1, stepData, 0, 16, 0, stepData, 0, 0, 1},
	{stepOpen, stepConfirm, 1, 1, stepExtended, 0, 8, 0, 1, stepExtended, 0, 8, 0, 9, stepReadStderr, 0, 8, 0, stepCloseStderr, 0, stepExtended, 0, 8, 0, 1},
	{stepOpenEarly, stepWrite, 0, 80, 0, stepRequest, 0, stepConfirm, 8, 1, stepAdjust, 0, 0, 0, 255, 0, stepReply, 0, 1, stepCloseChannel, 0, stepClose, 0},
	{stepOpenEarly, stepWrite, 0, 1, 0, stepRequest, 0, stepRefuse}, {stepOpenEarly, stepConfirmElse}, {stepOpenEarly, stepEOF, 0},
	{stepOpen, stepRefuse, stepRefuse}, {stepAbandonedOpen, stepConfirm, 1, 1, stepClose, 0}, {stepAbandonedOpen, stepRefuse},
	{stepOpen, stepOpen, stepConfirm, 9, 9, stepConfirm, 9, 9, stepRequest, 0, stepRequest, 1, stepRequest, 0, stepReply, 1, 0, stepReply, 0, 1, stepReply, 0, 0, stepReply, 0, 0},
	{stepOpen, stepConfirm, 9, 9, stepPeerRequest, 0, 1, stepPeerRequest, 0, 0, stepCloseChannel, 0, stepPeerRequest, 0, 1, stepData, 0, 99, 99, stepClose, 0, stepPeerRequest, 0, 1},
	{stepGlobal, stepPeerGlobal, 1, stepGlobal, stepGlobalReply, 1, stepGlobalReply, 0, stepGlobalReply, 0, stepPeerGlobal, 0, stepTime, 10, stepTime, 50, stepTime, 50},
	{stepPeerOpen, 9, 9, stepData, 0, 1, 1, stepRead, 0, 9, 9, stepWrite, 0, 99, 9, stepCloseWrite, 0, stepAdjust, 0, 0, 1, 0, 0, stepCloseRead, 0, stepData, 0, 9, 9, stepPeerOpen, 9, 0},
	{stepOpen, stepConfirm, 1, 1, stepCloseWrite, 0, stepAdjust, 0, 255, 255, 255, 255, stepAdjust, 0, 255, 255, 255, 255},
	{stepOpen, stepConfirm, 1, 1, stepFill, 0, stepRead, 0, 9, 0, stepFill, 0, stepRead, 0, 20, 0, stepFill, 0, stepData, 0, 0, 1},
	{stepOpen, stepConfirm, 1, 1, stepCloseRead, 0, stepFill, 0, stepFill, 0, stepExtended, 0, 4, 0, 7, stepFill, 0},
	append([]byte{stepOpen, stepConfirm, 1, 1}, bytes.Repeat([]byte{stepFill, 0, stepRead, 0, 16, 0, stepRead, 0, 16, 0}, 5)...),
	append([]byte{stepOpen, stepConfirm, 9, 9, stepRaw, 0, 9}, marshal(&adjustMsg{0, 7})...),
	{stepRaw, 0, 1, 90}, {stepRaw, 0, 0}, {stepRaw, 0, 5, 94, 0, 0, 0, 0}, {stepRaw, 0, 1, 79}, {stepRaw, 0, 2, 101, 0, stepRaw, 0, 1, 53},
}

// play runs the script, and then ends the connection.
func (m *model) play() {
	for n := 0; n < 300 && len(m.script) > 0 && !m.ended(); n++ {
		m.step(m.byte() % steps)
		synctest.Wait()
		m.settle()
	}
	begun := time.Now()
	require.NoError(m.t, m.c.Close())
	require.LessOrEqual(m.t, time.Since(begun), 110*time.Millisecond)
	_ = m.peer.Close()
	m.group.Wait()
	for _, c := range m.channels {
		if c.ch != nil {
			<-c.ch.Done()
		}
	}
}

// settle checks the connection's packets, and that the connection has ended if and only if the
// last step demands an end.
func (m *model) settle() {
	for !m.ended() && m.peer.in.length() > 0 {
		packet, err := m.peer.ReadPacket()
		require.NoError(m.t, err)
		m.hear(bytes.Clone(packet))
	}
	for _, c := range m.channels {
		if !m.ended() && c.drained() {
			require.Greater(m.t, c.window, fuzzWindow*3/4, "window that was read is not given back")
		}
	}
	switch m.verdict {
	case legal:
		require.False(m.t, m.ended(), "a step that broke no rule ended the connection: %v", m.cause())
	case forbidden:
		require.True(m.t, m.ended(), "a step that broke a rule was borne")
		require.ErrorAs(m.t, m.cause(), new(*connection.ProtocolError))
	}
}

// ended reports whether the connection has.
func (m *model) ended() bool {
	select {
	case <-m.c.Done():
		return true
	default:
		return false
	}
}

func (m *model) cause() error {
	if !m.ended() {
		return nil
	}
	return m.c.Wait()
}

// byte returns the next byte of the script, and 0 behind its end.
func (m *model) byte() byte {
	if len(m.script) == 0 {
		return 0
	}
	b := m.script[0]
	m.script = m.script[1:]
	return b
}

func (m *model) length() int { return int(m.byte())<<8 | int(m.byte()) }

func (m *model) uint32() uint32 {
	return binary.BigEndian.Uint32([]byte{m.byte(), m.byte(), m.byte(), m.byte()})
}

// raw returns a packet from the script.
func (m *model) raw() []byte {
	n := min(m.length(), len(m.script))
	packet := bytes.Clone(m.script[:n])
	m.script = m.script[n:]
	return packet
}

// read reads the waiting data of a stream, and checks the data and their order.
func (m *model) read(c *modelled, s *modelledStream, read func([]byte) (int, error)) {
	_ = c.ch.SetReadDeadline(time.Now().Add(time.Millisecond))
	p := make([]byte, m.length())
	n, err := read(p)
	for _, b := range p[:n] {
		require.Equal(m.t, byte(s.read), b)
		s.read++
	}
	require.LessOrEqual(m.t, s.read, s.sent)
	require.False(m.t, len(p) > 0 && n == 0 && err == nil, "a read of nothing")
	if len(p) > 0 && n == 0 && err == os.ErrDeadlineExceeded {
		require.Equal(m.t, s.sent, s.read, "what was sent is not there")
	}
}

// ask sends a request of ours and notes the request.
func (m *model) ask(asked *[]*connection.Pending, send func(context.Context, string, bool, []byte) (*connection.Pending, error)) {
	if p, err := send(context.Background(), "x", true, nil); err == nil {
		*asked = append(*asked, p)
	}
}

// answered checks that the oldest request has got its answer, and no other request has.
func (m *model) answered(asked *[]*connection.Pending, granted bool) {
	synctest.Wait()
	for i, p := range *asked {
		if p == nil { // a keepalive
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := p.Wait(ctx)
		switch {
		case i > 0:
			require.ErrorIs(m.t, err, context.Canceled)
		case granted:
			require.NoError(m.t, err)
		default:
			require.ErrorAs(m.t, err, new(*connection.RequestError))
		}
	}
	if len(*asked) > 0 {
		*asked = (*asked)[1:]
	}
}
