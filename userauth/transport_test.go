package userauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// The transport of this module has all optional powers.
var (
	_ userauth.Transport     = (*transport.Conn)(nil)
	_ userauth.Batcher       = (*transport.Conn)(nil)
	_ userauth.HostKeyProver = (*transport.Conn)(nil)
	_ userauth.DoneNotifier  = (*transport.Conn)(nil)
	_ userauth.ServiceWaiter = (*transport.Conn)(nil)
)

// spy records the packets of a login, and leaves the rest to the transport inside.
type spy struct {
	*flights
	sent, received []byte // message numbers
}

func (s *spy) WritePacket(packet []byte) error {
	s.sent = append(s.sent, packet[0])
	return s.flights.WritePacket(packet)
}

func (s *spy) ReadPacket() ([]byte, error) {
	packet, err := s.flights.ReadPacket()
	if err == nil {
		s.received = append(s.received, packet[0])
	}
	return packet, err
}

func TestDecoratorSeesEveryPacketOfALogin(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	f := &flights{peer: script([][]byte{banner("hello"), failure("publickey")}, [][]byte{keyOK("ssh-ed25519", b.PublicKey().Marshal())}, [][]byte{success})}
	s := &spy{flights: f}
	require.NoError(t, userauth.Authenticate(t.Context(), s, &userauth.Config{
		User: "bob", Probes: 5,
		Methods: []userauth.Method{userauth.PublicKeys(a, b, ed25519Signer(t))},
		Early:   &userauth.Early{Packets: func() [][]byte { return [][]byte{channelOpen, exec} }},
	}))
	require.Equal(t, []byte{50, 50, 50, 90, 98}, s.sent)
	require.Equal(t, []byte{53, 51, 60, 52}, s.received)
	require.Equal(t, []int{2, 3}, f.sizes, "flights still leave together")
}

// connSpy is a spy that embeds the transport of this module, as users do.
type connSpy struct {
	*transport.Conn
	sent, received []byte // message numbers
}

func (s *connSpy) WritePacket(packet []byte) error {
	s.sent = append(s.sent, packet[0])
	return s.Conn.WritePacket(packet)
}

func (s *connSpy) ReadPacket() ([]byte, error) {
	packet, err := s.Conn.ReadPacket()
	if err == nil {
		s.received = append(s.received, packet[0])
	}
	return packet, err
}

func TestDecoratorOfAConnSeesEveryPacketAndKeepsItsPowers(t *testing.T) {
	server := startEmbedded(t)
	s := &connSpy{Conn: connect(t, server).Conn}
	require.NoError(t, userauth.Authenticate(t.Context(), s, &userauth.Config{
		User: server.User, Probes: 5, WaitService: true,
		Methods: []userauth.Method{userauth.PublicKeys(strangers(t, server, 4, 2)...)},
	}))
	require.Equal(t, []byte{50, 50, 50, 50}, s.sent)
	require.Equal(t, []byte{51, 51, 60, 52}, s.received)
}

// patient is a peer whose acceptance of a service can be waited for.
type patient struct {
	*peer
	err error
}

func (p patient) WaitService() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, "accepted")
	return p.err
}

func TestServiceIsWaitedForOnRequest(t *testing.T) {
	config := &userauth.Config{User: "bob", WaitService: true, Methods: []userauth.Method{userauth.Password("sesame")}}
	p := script([][]byte{success})
	require.NoError(t, userauth.Authenticate(t.Context(), patient{p, nil}, config))
	require.Equal(t, []string{"service ssh-userauth", "accepted", "write"}, p.events[:3])

	p = script([][]byte{success})
	require.NoError(t, userauth.Authenticate(t.Context(), p, config), "a transport that is no ServiceWaiter is not waited for")

	p = script([][]byte{success})
	config.WaitService = false
	require.NoError(t, userauth.Authenticate(t.Context(), patient{p, nil}, config))
	require.Equal(t, []string{"service ssh-userauth", "write"}, p.events[:2])

	p = script()
	config.WaitService = true
	e := requireError(t, userauth.Authenticate(t.Context(), patient{p, errBroken}, config))
	require.ErrorIs(t, e, errBroken)
	require.Empty(t, p.written)
}

func TestErrorOfABatchEndsTheLogin(t *testing.T) {
	f := &flights{peer: script()}
	f.writeErr = errBroken
	e := requireError(t, userauth.Authenticate(t.Context(), f, &userauth.Config{
		User: "bob", Probes: 5,
		Methods: []userauth.Method{userauth.PublicKeys(ed25519Signer(t), ed25519Signer(t), ed25519Signer(t))},
	}))
	require.ErrorIs(t, e, errBroken)
	require.Equal(t, 2, e.Unanswered)
	require.Equal(t, []int{1}, f.sizes, "nothing follows the packet that failed")
}
