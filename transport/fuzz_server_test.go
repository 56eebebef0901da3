package transport_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// The steps of a script, by their first byte: first the server's steps, then the
// client's. A step of the server's waits for the client where needed.
const (
	stepData     byte = iota
	stepExchange      // whole, and honest
	stepKexInit
	stepFinish // the rest behind the two KEXINITs
	stepIgnore
	stepPing
	stepSuccess
	stepExtInfo
	stepAccept
	stepAnswer     // reads one packet, and answers the client's KEXINIT
	stepLie        // an exchange with a changed byte in the proof: its place
	stepMessage    // length, and the message
	stepFrame      // packet_length in 4 bytes, length, and the body
	stepWire       // length, and the bytes
	stepDisconnect // the server's last step
	stepRekey
	stepWrite
	stepService
	stepTime // passes, in seconds
	steps
)

var serverSeeds = [][]byte{
	{stepData, stepExchange, stepData, stepSuccess, stepData, stepPing, stepAnswer, stepExchange},
	{stepRekey, stepData, stepAnswer, stepData, stepWrite, stepAnswer, stepExchange, stepRekey, stepExchange, stepData},
	{stepKexInit, stepData}, {stepKexInit, stepKexInit}, {stepKexInit, stepIgnore, stepFinish, stepData}, {stepFinish},
	{stepSuccess, stepKexInit, stepPing}, {stepLie, 3}, {stepData, stepLie, 60}, {stepRekey, stepLie, 1},
	{stepService, stepAnswer, stepData}, {stepService, stepAnswer, stepAccept, stepData}, {stepAccept},
	{stepExtInfo, stepExtInfo, stepSuccess, stepData}, {stepExtInfo, stepExtInfo, stepData}, {stepSuccess, stepExtInfo},
	{stepKexInit, stepTime, 31}, {stepRekey, stepTime, 31, stepWrite}, {stepRekey, stepWrite, stepTime, 10, stepAnswer, stepData},
	{stepMessage, 0, 1, 21}, {stepMessage, 0, 2, 30, 0}, {stepMessage, 0, 1, 200, stepAnswer, stepData}, {stepMessage, 0, 0},
	{stepFrame, 0, 0, 0, 16, 0, 16, 255}, {stepFrame, 255, 0, 0, 0, 0, 1, 1}, {stepWire, 0, 4, 0, 0, 0, 12}, {stepDisconnect}, {stepWire, 0, 0},
}

// FuzzServer has a byte string drive the server's side of a connection after a real key
// exchange, and the client's program. Only packets that were sent are delivered, in
// order, and all of them while the server is honest. The host key stays the first host
// key. Close ends everything.
func FuzzServer(f *testing.F) {
	for _, script := range serverSeeds {
		f.Add(script)
	}
	key := sshtest.NewSigner(f, ssh.KeyAlgoED25519)
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := newRun(t, script, key)
			for n := 0; n < 100 && len(r.script) > 0 && !r.ended(); n++ {
				r.step(r.byte() % steps)
				synctest.Wait()
				r.settle()
			}
			r.end()
		})
	})
}

// run is a script being played. mu guards the fields below.
type run struct {
	t      *testing.T
	script []byte
	c      *transport.Conn
	server *sshtest.Server
	does   chan func(p *wire.Peer) // the server's next step
	over   chan struct{}           // closed when the server's script has ended
	client sync.WaitGroup

	exchanges int // of the server, valid after over

	mu        sync.Mutex
	honest    bool     // the server has kept to the protocol
	sent      [][]byte // of the layers above
	delivered [][]byte
	lied      bool // in a proof, and was honest before
	err       error
}

func newRun(t *testing.T, script []byte, key ssh.Signer) *run {
	r := &run{t: t, script: script, honest: true, does: make(chan func(*wire.Peer)), over: make(chan struct{})}
	r.server = sshtest.NewServer(t, &sshtest.Options{InMemory: true, HostKeys: []ssh.Signer{key}, Script: func(p *wire.Peer) {
		defer func() {
			r.exchanges = p.Exchanges
			close(r.over)
		}()
		p.Handshake()
		for do := range r.does {
			do(p)
		}
	}})
	nc, err := r.server.DialContext(t.Context(), "tcp", r.server.Addr)
	require.NoError(t, err)
	r.c = transport.Client(nc, &transport.Config{
		HostKey: transport.FixedHostKey(key.PublicKey()), HandshakeTimeout: 30 * time.Second,
		KeyExchanges: []string{"curve25519-sha256"},
	})
	t.Cleanup(func() { r.c.Close() })
	require.NoError(t, r.c.Handshake(t.Context()))
	r.client.Go(func() {
		for {
			p, err := r.c.ReadPacket()
			r.locked(func() { r.delivered, r.err = append(r.delivered, bytes.Clone(p)), err })
			if err != nil {
				return
			}
		}
	})
	return r
}

func (r *run) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// serve makes the server do a step, unless the server is busy with another step.
func (r *run) serve(do func(p *wire.Peer)) {
	select {
	case r.does <- do:
	case <-r.over:
	default:
		r.honest = false // an honest server is ready
	}
}

// send makes the server send a message.
func (r *run) send(message any) {
	payload, raw := message.([]byte)
	if !raw {
		payload = ssh.Marshal(message)
	}
	if len(payload) > 0 && payload[0] >= 50 && payload[0] < 128 {
		r.sent = append(r.sent, payload)
	}
	r.serve(func(p *wire.Peer) { p.Send(payload) })
}

func (r *run) step(step byte) {
	if step == stepTime {
		time.Sleep(time.Duration(r.byte()) * time.Second)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch step {
	case stepData:
		r.send([]byte{94, byte(len(r.sent) >> 8), byte(len(r.sent))})
	case stepExchange:
		r.serve((*wire.Peer).Exchange)
	case stepKexInit:
		r.honest = false
		r.serve((*wire.Peer).SendKexInit)
	case stepFinish:
		r.honest = false
		r.serve(func(p *wire.Peer) { p.ReceiveKexInit(); p.FinishKex() })
	case stepIgnore:
		r.send(wire.IgnoreMsg{})
	case stepPing:
		r.send(wire.PingMsg{Data: []byte("ping")})
	case stepSuccess:
		r.honest = false // perhaps out of turn
		r.send([]byte{52})
	case stepExtInfo:
		r.honest = false
		r.send(append([]byte{7, 0, 0, 0, 1}, ssh.Marshal(struct{ Name, Value string }{"server-sig-algs", "x"})...))
	case stepAccept:
		r.honest = false
		r.send(wire.ServiceAcceptMsg{Name: "x"})
	case stepAnswer:
		r.serve(func(p *wire.Peer) { p.Receive() })
	case stepLie:
		at := int(r.byte())
		r.lied = r.honest
		r.serve(func(p *wire.Peer) {
			p.KexReply = func(m *wire.KexECDHReplyMsg) { m.Signature[at%len(m.Signature)] ^= 1 }
			p.Exchange()
		})
		r.lied = r.lied && r.honest
		r.honest = false
	case stepMessage:
		r.honest = false
		r.send(r.bytes())
	case stepFrame:
		length := uint32(r.byte())<<24 | uint32(r.byte())<<16 | uint32(r.byte())<<8 | uint32(r.byte())
		body := append(r.bytes(), make([]byte, 16)...)
		r.honest, r.sent = false, append(r.sent, body)
		r.serve(func(p *wire.Peer) { p.SendRaw(p.SealBody(length, body)) })
	case stepWire:
		sent := r.bytes()
		r.honest = false
		r.serve(func(p *wire.Peer) { p.SendRaw(sent) })
	case stepDisconnect:
		r.honest = false
		r.send(wire.DisconnectMsg{Reason: 2, Message: "bye"})
	default:
		r.clientStep(step)
	}
}

func (r *run) clientStep(step byte) {
	switch step {
	case stepRekey:
		r.client.Go(func() { _ = r.c.Rekey() })
	case stepWrite:
		r.client.Go(func() { _ = r.c.WritePacket([]byte{80}) })
	case stepService:
		r.honest = false // an honest server accepts first
		r.client.Go(func() { _ = r.c.RequestService("x") })
	case stepTime:
		r.honest = false // an exchange may have lasted too long
	}
}

// settle checks the delivered packets.
func (r *run) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.delivered
	if r.err != nil {
		got = got[:len(got)-1]
	}
	if r.honest {
		require.NoError(r.t, r.err)
	}
	if r.lied {
		require.ErrorAs(r.t, r.err, new(*transport.HostKeyError))
	}
	next := 0
	for _, p := range got {
		require.GreaterOrEqual(r.t, p[0], byte(50))
		require.Less(r.t, p[0], byte(128))
		for next < len(r.sent) && !r.was(r.sent[next], p) {
			next++
		}
		require.Less(r.t, next, len(r.sent), "what was delivered was not sent, or in another order")
		next++
	}
}

// was reports whether a packet is the packet sent, or the payload of the body sent.
func (r *run) was(sent, p []byte) bool {
	return bytes.Equal(sent, p) || len(sent) > 16 && bytes.HasPrefix(sent[1:], p)
}

func (r *run) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil
}

// end closes the client, and checks the end of everything.
func (r *run) end() {
	state := r.c.State()
	require.NotNil(r.t, state.HostKey)
	begun := time.Now()
	require.NoError(r.t, r.c.Close())
	require.LessOrEqual(r.t, time.Since(begun), 200*time.Millisecond)
	r.client.Wait()
	require.ErrorIs(r.t, r.err, net.ErrClosed)
	require.ErrorIs(r.t, r.c.Handshake(context.Background()), nil)
	r.server.CloseClientConnections()
	close(r.does)
	<-r.over
	require.LessOrEqual(r.t, state.Exchanges, r.exchanges+1)
}

func (r *run) byte() byte {
	if len(r.script) == 0 {
		return 0
	}
	b := r.script[0]
	r.script = r.script[1:]
	return b
}

func (r *run) bytes() []byte {
	n := min(int(r.byte())<<8|int(r.byte()), len(r.script))
	b := bytes.Clone(r.script[:n])
	r.script = r.script[n:]
	return b
}
