package transport_test

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

const curve = "curve25519-sha256"

// listenFirst is a server that says nothing before the client's version, KEXINIT and
// first message of the method have come.
func listenFirst(p *wire.Peer) {
	p.ReceiveVersion()
	p.ReceiveKexInit()
	p.Receive(30)
	p.SendVersion()
	p.SendKexInit()
	p.FinishKex()
	p.Drain()
}

func TestExpectedMethodBeginsInTheFirstFlight(t *testing.T) {
	tc := transport.Config{ServerKeyExchanges: []string{"unknown@example.com", curve}}
	c := client(t, tc, listenFirst)
	require.NoError(t, c.Handshake(t.Context()))
	require.Equal(t, curve, c.State().KeyExchange)
	require.Equal(t, []string{curve}, c.State().ServerKeyExchanges)
}

// The first messages of the hybrids are larger than those of a curve by far.
func TestExpectedHybridBeginsInTheFirstFlight(t *testing.T) {
	for name, size := range map[string]int{
		"mlkem768x25519-sha256": 1184 + 32, "sntrup761x25519-sha512": 1158 + 32,
		"mlkem768nistp256-sha256": 1184 + 65, "mlkem1024nistp384-sha384": 1568 + 97,
	} {
		tc := transport.Config{KeyExchanges: []string{name, curve}, ServerKeyExchanges: []string{curve, name}}
		c := client(t, tc, func(p *wire.Peer) {
			p.ReceiveVersion()
			p.ReceiveKexInit()
			require.Len(t, wire.Expect[wire.KexECDHInitMsg](p).Public, size)
			p.KexInit = func(m *wire.KexInitMsg) { m.Kex = []string{name} }
			p.SendVersion()
			p.SendKexInit()
			p.Send(&wire.KexECDHReplyMsg{})
			p.Drain()
		})
		require.ErrorContains(t, c.Handshake(t.Context()), "key exchange value has 0 bytes")
	}
}

func TestExpectationIsComputedAsTheOutcomeWillBe(t *testing.T) {
	// The server's first choice is another method, but the client's list decides.
	tc := transport.Config{
		KeyExchanges:       []string{curve, "ecdh-sha2-nistp256"},
		ServerKeyExchanges: []string{"ecdh-sha2-nistp256", curve},
	}
	c := client(t, tc, func(p *wire.Peer) {
		p.KexInit = func(m *wire.KexInitMsg) { m.Kex = append([]string{"ecdh-sha2-nistp256"}, m.Kex...) }
		listenFirst(p)
	})
	require.NoError(t, c.Handshake(t.Context()))
	require.Equal(t, curve, c.State().KeyExchange)
	require.Equal(t, []string{curve, "ecdh-sha2-nistp256"}, c.State().ServerKeyExchanges)
}

func TestExpectationWithoutACommonMethodIsNone(t *testing.T) {
	tc := transport.Config{ServerKeyExchanges: []string{"diffie-hellman-group1-sha1"}}
	connected(t, tc, nil, drain)
}

func TestExpectedMethodIsOnlyForTheFirstExchange(t *testing.T) {
	c := connected(t, transport.Config{ServerKeyExchanges: []string{curve}}, nil, func(p *wire.Peer) {
		p.Exchange()
		p.Send([]byte{90})
		p.Drain()
	})
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{90}, packet)
	require.Equal(t, 2, c.State().Exchanges)
}

func TestServersOwnWrongGuessIsPassedOver(t *testing.T) {
	tc := transport.Config{KeyExchanges: []string{curve}, ServerKeyExchanges: []string{curve}}
	connected(t, tc, func(p *wire.Peer) {
		p.KexInit = func(m *wire.KexInitMsg) {
			m.Kex = append([]string{"ecdh-sha2-nistp256"}, m.Kex...)
			m.FirstKexFollows = true
		}
		p.After(20, wire.KexECDHReplyMsg{})
	}, drain)
}

func TestServerThatOffersOtherThanExpectedIsLeft(t *testing.T) {
	tc := transport.Config{ServerKeyExchanges: []string{"ecdh-sha2-nistp256"}}
	after := make(chan []byte, 1)
	c := client(t, tc, func(p *wire.Peer) {
		p.SendVersion()
		p.ReceiveVersion()
		p.ReceiveKexInit()
		p.Receive(30)
		p.SendKexInit()
		after <- p.Receive(1)
		p.Drain()
	})
	err := c.Handshake(t.Context())
	require.ErrorIs(t, err, transport.ErrEarlyKeyExchange)
	require.ErrorContains(t, err, `"ecdh-sha2-nistp256" was expected, "curve25519-sha256" is agreed on`)
	require.Nil(t, c.State().HostKey)
	require.Equal(t, byte(1), (<-after)[0], "a farewell, and no second try on this connection")
	requireEnded(t, c, err)
}

func TestEveryMethodCanBeExpectedOfEveryServer(t *testing.T) {
	servers := map[string]func() *sshtest.Server{
		"OpenSSH":  func() *sshtest.Server { return sshtest.OpenSSH(t, nil) },
		"Dropbear": func() *sshtest.Server { return sshtest.Dropbear(t, nil) },
		"x/crypto": func() *sshtest.Server { return sshtest.NewServer(t, nil) },
	}
	for name, start := range servers {
		server := start()
		expect := func(t *testing.T, kex string, expected []string) (*transport.Conn, error) {
			nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr)
			require.NoError(t, err)
			c := transport.Client(nc, &transport.Config{
				HostKey:            transport.FixedHostKey(server.HostKeys...),
				KeyExchanges:       []string{kex},
				ServerKeyExchanges: expected,
			})
			t.Cleanup(func() { c.Close() })
			return c, c.Handshake(t.Context())
		}
		c, err := expect(t, curve, nil)
		require.NoError(t, err)
		offered := c.State().ServerKeyExchanges
		require.Contains(t, offered, curve)
		for _, kex := range offered {
			t.Run(name+"/"+kex, func(t *testing.T) {
				c, err := expect(t, kex, offered)
				require.NoError(t, err)
				require.Equal(t, kex, c.State().KeyExchange)
			})
		}
		t.Run(name+"/without", func(t *testing.T) {
			missing := slices.DeleteFunc(slices.Clone(transport.KeyExchanges), func(n string) bool { return slices.Contains(offered, n) })
			if len(missing) > 0 {
				_, err := expect(t, missing[0], missing)
				var negotiation *transport.NegotiationError
				require.ErrorAs(t, err, &negotiation)
			}
		})
	}
}
