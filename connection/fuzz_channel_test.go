package connection_test

import (
	"slices"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// channelStep does a step on a channel that the peer has confirmed, or on an early channel.
func (m *model) channelStep(step byte, c *modelled) {
	switch step {
	case stepData, stepExtended:
		m.peerSends(step, c)
	case stepFill:
		m.peerFills(c)
	case stepAdjust:
		n := m.uint32()
		m.send(c.adjustVerdict(n), &adjustMsg{c.id, n})
		c.sendWindow += int(n)
	case stepEOF:
		m.send(c.dataVerdict(0), &eofMsg{c.id})
		c.peerEOF = true
	case stepClose:
		m.send(c.dataVerdict(0), &closeMsg{c.id})
		c.peerEOF, c.peerClosed, c.asked = true, true, nil
	case stepPeerRequest:
		want := m.byte()%2 == 1
		if want && !c.sentClose && !c.peerClosed {
			c.owed++
		}
		m.send(c.lateVerdict(), &requestMsg{c.id, "x", want, nil})
	case stepReply:
		granted := m.byte()%2 == 1
		if granted {
			m.send(c.lateVerdict(), &successMsg{c.id})
		} else {
			m.send(c.lateVerdict(), &failureMsg{c.id})
		}
		if m.verdict == legal {
			m.answered(&c.asked, granted)
		}
	default:
		if c.ch != nil {
			m.programStep(step, c)
		}
	}
}

// lateVerdict is the verdict on a message that is forgiven after both sides have closed.
func (c *modelled) lateVerdict() verdict {
	if !c.confirmed && !c.peerClosed {
		return forbidden
	}
	return legal
}

// peerSends sends data to us, maybe more than we have granted.
func (m *model) peerSends(step byte, c *modelled) {
	n := m.length()
	v := c.dataVerdict(n)
	s, code := &c.stdout, uint32(0)
	if step == stepExtended {
		if code = uint32(m.byte()); code == 1 {
			s = &c.stderr
		} else {
			s = new(modelledStream)
		}
		m.send(v, &extendedMsg{c.id, code, s.next(n)})
	} else {
		m.send(v, &dataMsg{c.id, s.next(n)})
	}
	c.window -= n
	if !c.peerEOF {
		s.sent += n
	}
}

// peerFills sends data up to the last byte of the granted window.
func (m *model) peerFills(c *modelled) {
	for c.confirmed && !c.peerEOF && c.window > 0 {
		n := min(c.window, fuzzMaxPacket)
		m.send(legal, &dataMsg{c.id, c.stdout.next(n)})
		c.window -= n
		c.stdout.sent += n
	}
}

// programStep does a step of the program with a channel.
func (m *model) programStep(step byte, c *modelled) {
	switch step {
	case stepWrite:
		n := m.length()
		m.group.Go(func() { _, _ = c.ch.Write(make([]byte, n)) })
	case stepRead:
		m.read(c, &c.stdout, c.ch.Read)
	case stepReadStderr:
		m.read(c, &c.stderr, c.ch.Stderr().Read)
	case stepCloseWrite:
		_ = c.ch.CloseWrite()
	case stepCloseRead:
		_ = c.ch.CloseRead()
	case stepCloseStderr:
		_ = c.ch.Stderr().Close()
	case stepCloseChannel:
		_ = c.ch.Close()
		c.asked = nil
	case stepRequest:
		m.ask(&c.asked, c.ch.SendRequest)
	}
}

// hear takes a packet of the connection, and checks that the packet is allowed.
func (m *model) hear(packet []byte) {
	var (
		global   globalRequestMsg
		open     openMsg
		confirm  confirmMsg
		failure  openFailureMsg
		adjust   adjustMsg
		data     dataMsg
		eof      eofMsg
		closed   closeMsg
		request  requestMsg
		accepted successMsg
	)
	switch {
	case ssh.Unmarshal(packet, &global) == nil:
		if global.Name != "x" {
			require.Equal(m.t, "keepalive@openssh.com", global.Name)
			m.asked = append(m.asked, nil)
		}
	case packet[0] == 81 || packet[0] == 82:
		m.owed--
		require.GreaterOrEqual(m.t, m.owed, 0, "an answer to nothing")
	case ssh.Unmarshal(packet, &open) == nil:
		m.t.Fatal("an open that nobody asked for")
	case ssh.Unmarshal(packet, &confirm) == nil:
		m.accepted(&confirm)
	case ssh.Unmarshal(packet, &failure) == nil:
		require.True(m.t, slices.ContainsFunc(m.offered, func(c *modelled) bool { return c.remote == failure.Recipient }))
	case ssh.Unmarshal(packet, &adjust) == nil:
		c := m.opened(adjust.Recipient)
		c.window += int(adjust.Bytes)
		require.LessOrEqual(m.t, c.window, fuzzMaxWindow)
	case ssh.Unmarshal(packet, &data) == nil:
		c := m.opened(data.Recipient)
		require.False(m.t, c.sentEOF, "data after EOF")
		require.LessOrEqual(m.t, len(data.Data), c.sendWindow, "more than the window")
		require.LessOrEqual(m.t, len(data.Data), c.sendMax, "more than a packet may have")
		c.sendWindow -= len(data.Data)
	case ssh.Unmarshal(packet, &eof) == nil:
		c := m.opened(eof.Recipient)
		require.False(m.t, c.sentEOF, "EOF twice")
		c.sentEOF = true
	case ssh.Unmarshal(packet, &closed) == nil:
		m.opened(closed.Recipient).sentClose = true
	case ssh.Unmarshal(packet, &request) == nil:
		m.opened(request.Recipient)
	case ssh.Unmarshal(packet, &accepted) == nil:
		c := m.opened(accepted.Recipient)
		c.owed--
		require.GreaterOrEqual(m.t, c.owed, 0, "an answer to nothing")
	default:
		m.t.Fatalf("message % x", packet)
	}
}

// accepted begins a channel that the peer has offered.
func (m *model) accepted(confirm *confirmMsg) {
	i := slices.IndexFunc(m.offered, func(c *modelled) bool { return c.remote == confirm.Recipient })
	require.GreaterOrEqual(m.t, i, 0)
	c := m.offered[i]
	require.Zero(m.t, c.window, "confirmed twice")
	require.Positive(m.t, c.sendMax)
	c.id, c.window, c.confirmed = confirm.Sender, int(confirm.Window), true
	m.channels = append(m.channels, c)
}

// opened returns the channel for a message of ours. We must not have sent CLOSE there.
func (m *model) opened(remote uint32) *modelled {
	for _, c := range slices.Concat(m.opening, m.channels) {
		if c.remote == remote {
			require.False(m.t, c.sentClose, "a message after CLOSE")
			return c
		}
	}
	m.t.Fatalf("a message for channel %d, which is not open", remote)
	return nil
}
