package connection_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

const (
	fuzzWindow    = 4 << 10
	fuzzMaxWindow = 16 << 10
	fuzzMaxPacket = 2 << 10
	fuzzEarly     = 16 << 10 // bytes that an early channel may send
)

// verdict is the meaning of the last step for the connection.
type verdict int

const (
	unclear   verdict = iota
	legal             // the connection goes on
	forbidden         // the connection ends with a ProtocolError
)

// model knows the words of both sides of a connection, and their consequences.
type model struct {
	t      *testing.T
	script []byte
	c      *connection.Conn
	peer   *end
	group  sync.WaitGroup // the calls of the program

	verdict  verdict
	opening  []*modelled // by us, not answered yet
	channels []*modelled // confirmed, whoever opened them
	asked    []*connection.Pending
	owed     int // answers to global requests of the peer
	offered  []*modelled
	numbers  uint32
}

// modelled is a channel as the peer knows the channel.
type modelled struct {
	ch                  *connection.Channel // nil while there is none, or nobody waited
	id, remote          uint32              // our number; the peer's
	early, confirmed    bool
	window              int // bytes that the peer may send
	stdout, stderr      modelledStream
	sendWindow          int // bytes that we may send
	sendMax             int
	sentEOF, sentClose  bool // by us
	peerEOF, peerClosed bool
	asked               []*connection.Pending
	owed                int // answers to the peer's requests
}

type modelledStream struct{ sent, read int }

func newModel(t *testing.T, script []byte) *model {
	ours, theirs := pipe()
	m := &model{t: t, script: script, peer: theirs}
	m.c = connection.New(ours, &connection.Config{
		Window: fuzzWindow, MaxWindow: fuzzMaxWindow, MaxPacket: fuzzMaxPacket, MaxChannels: 16,
		KeepAliveInterval: 20 * time.Second, KeepAliveCount: 2,
	})
	t.Cleanup(func() {
		_ = m.c.Close()
		_ = theirs.Close()
	})
	m.c.HandleOpen("offer", func(_ context.Context, o *connection.Open) {
		c := m.offered[o.ExtraData()[0]]
		c.ch, _ = o.Accept(grant)
	})
	m.c.HandleRequest("offer", grant)
	return m
}

// grant answers the peer's requests.
func grant(context.Context, *connection.Request) ([]byte, bool) { return nil, true }

// send says something as the peer, with the verdict to follow.
func (m *model) send(v verdict, message any) {
	m.verdict = v
	packet, raw := message.([]byte)
	if !raw {
		packet = marshal(message)
	}
	_ = m.peer.WritePacket(packet)
}

// channel returns the script's next channel, or nil.
func (m *model) channel() *modelled {
	if n := int(m.byte()); len(m.channels) > 0 {
		return m.channels[n%len(m.channels)]
	}
	return nil
}

// step does a single step.
func (m *model) step(step byte) {
	m.verdict = legal
	switch step {
	case stepOpen, stepAbandonedOpen:
		m.open(step == stepAbandonedOpen)
	case stepOpenEarly:
		m.openEarly()
	case stepConfirm, stepConfirmElse:
		m.confirm(step == stepConfirmElse)
	case stepRefuse:
		m.refuse()
	case stepPeerGlobal:
		want := m.byte()%2 == 1
		if want {
			m.owed++
		}
		m.send(legal, &globalRequestMsg{"offer", want, nil})
	case stepGlobal:
		m.ask(&m.asked, m.c.SendRequest)
	case stepGlobalReply:
		granted := m.byte()%2 == 1
		if granted {
			m.send(legal, &requestSuccessMsg{})
		} else {
			m.send(legal, &requestFailureMsg{})
		}
		m.answered(&m.asked, granted)
	case stepPeerOpen:
		m.peerOpens()
	case stepRaw:
		m.send(unclear, m.raw())
		m.script = nil // the books cannot be kept any further
	case stepTime:
		m.verdict = unclear // keepalive may find the peer dead
		time.Sleep(time.Duration(m.byte()) * time.Second)
	default:
		if c := m.channel(); c != nil {
			m.channelStep(step, c)
		}
	}
}

func (m *model) open(abandon bool) {
	if len(m.opening)+len(m.channels) >= 16 {
		return
	}
	c := new(modelled)
	m.opening = append(m.opening, c)
	ctx, cancel := context.WithCancel(context.Background())
	m.group.Go(func() {
		defer cancel()
		c.ch, _ = m.c.OpenChannel(ctx, "x", nil, grant)
	})
	m.settleOpen(c)
	if abandon {
		cancel()
	}
}

// settleOpen takes our open, with the number of the channel.
func (m *model) settleOpen(c *modelled) {
	packet, err := m.peer.ReadPacket()
	for ; err == nil && packet[0] != 90; packet, err = m.peer.ReadPacket() {
		m.hear(packet)
	}
	require.NoError(m.t, err)
	var open openMsg
	require.NoError(m.t, ssh.Unmarshal(packet, &open))
	require.EqualValues(m.t, fuzzWindow, open.Window)
	c.id, c.window, c.remote = open.Sender, int(open.Window), 1000+m.numbers
	m.numbers++
}

func (m *model) openEarly() {
	if len(m.opening)+len(m.channels) >= 16 {
		return
	}
	c := &modelled{early: true, sendWindow: fuzzEarly, sendMax: fuzzEarly}
	ch, err := m.c.OpenChannelEarly(context.Background(), "x", nil, 1000+m.numbers, grant)
	require.NoError(m.t, err)
	m.settleOpen(c)
	c.ch = ch
	m.opening, m.channels = append(m.opening, c), append(m.channels, c)
}

func (m *model) confirm(otherwise bool) {
	window, packet := int(m.byte())<<8, int(m.byte())<<4
	if len(m.opening) == 0 {
		m.send(forbidden, &confirmMsg{99, 0, 0, 1, nil})
		return
	}
	c := m.opening[0]
	m.opening = m.opening[1:]
	remote, v := c.remote, legal
	if packet == 0 || otherwise && c.early {
		remote, v = remote+500, forbidden
	}
	c.confirmed, c.sendMax = true, packet
	if c.early {
		c.sendWindow += window - fuzzEarly
	} else {
		c.sendWindow = window
		m.channels = append(m.channels, c)
	}
	m.send(v, &confirmMsg{c.id, remote, uint32(window), uint32(packet), nil})
}

func (m *model) refuse() {
	if len(m.opening) == 0 {
		m.send(forbidden, &openFailureMsg{99, 1, "", ""})
		return
	}
	c := m.opening[0]
	m.opening = m.opening[1:]
	c.peerClosed, c.sentClose, c.asked = true, true, nil
	m.send(legal, &openFailureMsg{c.id, 1, "no", ""})
}

func (m *model) peerOpens() {
	window, packet := int(m.byte())<<8, int(m.byte())<<4
	if len(m.offered) == 200 {
		return
	}
	c := &modelled{remote: 1000 + m.numbers, sendWindow: window, sendMax: packet}
	m.numbers++
	m.offered = append(m.offered, c)
	m.send(legal, &openMsg{"offer", c.remote, uint32(window), uint32(packet), []byte{byte(len(m.offered) - 1)}})
}

// next returns the next n bytes of the peer on a stream.
func (s *modelledStream) next(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(s.sent + i)
	}
	return p
}

// dataVerdict is the verdict on n bytes of the peer. Data after our own CLOSE is not looked at.
func (c *modelled) dataVerdict(n int) verdict {
	switch {
	case !c.confirmed || c.peerClosed:
		return forbidden
	case !c.sentClose && (n > c.window || n > fuzzMaxPacket):
		return forbidden
	}
	return legal
}

// adjustVerdict is the verdict on n bytes of window for us.
func (c *modelled) adjustVerdict(n uint32) verdict {
	switch {
	case !c.confirmed && !c.peerClosed:
		return forbidden
	case !c.sentEOF && !c.sentClose && int64(c.sendWindow)+int64(n) > math.MaxUint32:
		return forbidden
	}
	return legal
}

// drained reports whether all data of the peer has been read, and more may come.
func (c *modelled) drained() bool {
	return c.confirmed && !c.peerEOF && !c.sentClose && c.stdout.read == c.stdout.sent && c.stderr.read == c.stderr.sent
}
