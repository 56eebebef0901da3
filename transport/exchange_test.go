package transport_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// K2, K3 and K23: nothing but the key exchange is accepted in clear.
func TestMessageThatIsOutOfPlaceInTheHandshake(t *testing.T) {
	places := map[string]func(*wire.Peer, []byte){
		"before KEXINIT":    func(p *wire.Peer, m []byte) { p.Before(20, m) },
		"after KEXINIT":     func(p *wire.Peer, m []byte) { p.After(20, m) },
		"before the reply":  func(p *wire.Peer, m []byte) { p.Before(31, m) },
		"before NEWKEYS":    func(p *wire.Peer, m []byte) { p.After(31, m) },
		"second of NEWKEYS": func(p *wire.Peer, m []byte) { p.Before(31, ignore, m) },
	}
	for place, put := range places {
		for name, message := range misplaced {
			for _, lax := range []bool{false, true} {
				err := refused(t, transport.Config{}, func(p *wire.Peer) {
					p.Lax = lax
					put(p, message)
				})
				require.ErrorAs(t, err, new(*transport.ProtocolError), "%s %s", name, place)
			}
		}
		for name, message := range harmless {
			err := refused(t, transport.Config{}, func(p *wire.Peer) { put(p, message) })
			require.ErrorAs(t, err, new(*transport.ProtocolError), "K2 %s %s", name, place)

			if place == "before KEXINIT" && name == "UNIMPLEMENTED" {
				continue // nothing has been sent to be answered
			}
			c := connected(t, transport.Config{}, func(p *wire.Peer) {
				p.Lax = true
				put(p, message)
			}, drain)
			require.False(t, c.State().StrictKex, "%s %s", name, place)
			require.NoError(t, c.Close())
		}
	}
}

// K1: the attacker inserts a packet into the handshake and removes the first packet
// behind. Strict key exchange detects either.
func TestPrefixTruncation(t *testing.T) {
	err := refused(t, transport.Config{}, func(p *wire.Peer) { p.After(31, ignore) })
	require.EqualError(t, err, "transport: protocol error: strict key exchange violated: message 2 during the exchange")
	err = refused(t, transport.Config{}, func(p *wire.Peer) { p.Before(20, ignore) })
	require.EqualError(t, err, "transport: protocol error: strict key exchange violated: KEXINIT is not the server's first packet")

	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Seal([]byte{7, 0, 0, 0, 0}) // never sent
		p.Send([]byte{80})
		p.Drain()
	})
	_, err = c.ReadPacket()
	require.ErrorContains(t, err, "message authentication failed")
	requireEnded(t, c, err)
}

func TestServerWithoutStrictKexCanBeRefused(t *testing.T) {
	err := refused(t, transport.Config{RequireStrictKex: true}, func(p *wire.Peer) { p.Lax = true })
	var negotiation *transport.NegotiationError
	require.ErrorAs(t, err, &negotiation)
	require.Equal(t, "strict key exchange", negotiation.Kind)
	require.Equal(t, []string{"curve25519-sha256"}, negotiation.Theirs)
	connected(t, transport.Config{RequireStrictKex: true}, nil, drain)
}

// K2: the marker counts in the first KEXINIT only, whoever sends it later.
func TestStrictKexIsSettledByTheFirstExchange(t *testing.T) {
	for _, lax := range []bool{false, true} {
		c := connected(t, transport.Config{}, func(p *wire.Peer) { p.Lax = lax }, func(p *wire.Peer) {
			p.KexInit = func(m *wire.KexInitMsg) { m.Kex = []string{"kex-strict-s-v00@openssh.com", "curve25519-sha256"} }
			p.Before(31, ignore, debug) // allowed again
			p.Exchange()
			p.Send([]byte{80})
			p.Drain()
		})
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, []byte{80}, p)
		require.Equal(t, !lax, c.State().StrictKex)
		require.NoError(t, c.Close())
	}
}

// K4 and K24: messages of the exchange in a wrong number or order.
func TestKeyExchangeOutOfOrder(t *testing.T) {
	init := kexInit(curve)
	reply := ssh.Marshal(&wire.KexECDHReplyMsg{})
	for name, change := range map[string]script{
		"K4 second KEXINIT":            func(p *wire.Peer) { p.After(20, init) },
		"K4 many KEXINITs":             func(p *wire.Peer) { p.After(20, each(slices.Repeat([][]byte{init}, 100))...) },
		"K4 KEXINIT before NEWKEYS":    func(p *wire.Peer) { p.After(31, init) },
		"K24 NEWKEYS before the reply": func(p *wire.Peer) { p.Before(31, []byte{21}) },
		"K24 NEWKEYS for KEXINIT":      func(p *wire.Peer) { p.Before(20, []byte{21}) },
		"K24 NEWKEYS with payload":     func(p *wire.Peer) { p.Instead(21, []byte{21, 0}) },
		"K24 reply for NEWKEYS":        func(p *wire.Peer) { p.Instead(21, reply) },
		"K24 second reply":             func(p *wire.Peer) { p.After(31, reply) },
		"K24 reply before KEXINIT":     func(p *wire.Peer) { p.Before(20, reply) },
		"K24 INIT of the client":       func(p *wire.Peer) { p.Before(31, []byte{30, 0, 0, 0, 0}) },
		"K24 reply of a group":         func(p *wire.Peer) { p.Before(31, []byte{33, 0, 0, 0, 0}) },
		"K24 number 49":                func(p *wire.Peer) { p.Before(31, []byte{49}) },
		"truncated KEXINIT":            func(p *wire.Peer) { p.Before(20, init[:len(init)-1]) },
		"longer KEXINIT":               func(p *wire.Peer) { p.Before(20, append(bytes.Clone(init), 0)) },
		"empty reply":                  func(p *wire.Peer) { p.Before(31, []byte{31}) },
		"longer reply":                 func(p *wire.Peer) { p.Before(31, append(bytes.Clone(reply), 0)) },
	} {
		for _, lax := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				err := refused(t, transport.Config{}, func(p *wire.Peer) {
					p.Lax = lax
					change(p)
				})
				require.ErrorAs(t, err, new(*transport.ProtocolError))
			})
		}
	}
	t.Run("K24 second NEWKEYS", func(t *testing.T) {
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) { p.Send([]byte{21}); p.Drain() })
		_, err := c.ReadPacket()
		require.ErrorContains(t, err, "message 21 outside a key exchange")
		requireEnded(t, c, err)
	})
}

// RFC 4253 section 7: the packet after first_kex_packet_follows is ignored after a
// wrong guess, and belongs to the exchange after a right guess.
func TestServerGuesses(t *testing.T) {
	wrong := func(m *wire.KexInitMsg) {
		m.FirstKexFollows = true
		m.Kex = append([]string{"guessed@example.com"}, m.Kex...)
	}
	right := func(m *wire.KexInitMsg) { m.FirstKexFollows = true }
	config := transport.Config{KeyExchanges: []string{"curve25519-sha256"}}
	for _, lax := range []bool{false, true} {
		guess := func(change func(m *wire.KexInitMsg), messages ...any) script {
			return func(p *wire.Peer) {
				p.Lax, p.KexInit = lax, change
				p.After(20, messages...)
			}
		}
		c := connected(t, config, guess(wrong, []byte{31, 1, 2, 3}), func(p *wire.Peer) { p.Exchange(); p.Send([]byte{80}); p.Drain() })
		_, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, 2, c.State().Exchanges)

		err = refused(t, config, guess(right, []byte{31, 1, 2, 3}))
		require.ErrorContains(t, err, "malformed key exchange reply")
		connected(t, config, guess(right), drain)
	}
	for _, message := range [][]byte{{52}, {21}} {
		err := refused(t, config, func(p *wire.Peer) {
			p.KexInit = wrong
			p.After(20, message)
		})
		require.ErrorAs(t, err, new(*transport.ProtocolError), "a guess is a message of a method")
	}
}

// Close does not wait for an exchange, of either side, and ends the calls that wait for
// the exchange.
func TestCloseInTheMidstOfAnExchange(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *wire.Peer)
		ours   bool
	}{
		"begun by us":                  {func(p *wire.Peer) { p.Drain() }, true},
		"begun by the server":          {func(p *wire.Peer) { p.SendKexInit(); p.Drain() }, false},
		"the server's public key due":  {func(p *wire.Peer) { p.SendKexInit(); p.ReceiveKexInit(); p.Drain() }, false},
		"the server's NEWKEYS pending": {func(p *wire.Peer) { p.Instead(21, wire.IgnoreMsg{}); p.Exchange(); p.Drain() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := distant(t, &transport.Config{}, test.script)
				if test.ours {
					require.NoError(t, c.Rekey())
				}
				failed := make(chan error, 3)
				go func() { _, err := c.ReadPacket(); failed <- err }()
				for range 2 {
					go func() {
						for {
							if err := c.WritePacket([]byte{80}); err != nil {
								failed <- err
								return
							}
							time.Sleep(time.Millisecond)
						}
					}()
				}
				time.Sleep(time.Second)
				begun := time.Now()
				require.NoError(t, c.Close())
				for range 3 {
					requireEnded(t, c, <-failed)
				}
				require.Less(t, time.Since(begun), 200*time.Millisecond)
			})
		})
	}
}

// K4: KEXINIT upon KEXINIT, before any keys and after.
func TestFloodOfKexInit(t *testing.T) {
	flood := func(p *wire.Peer) {
		for range 100_000 {
			p.SendKexInit()
		}
		p.Drain()
	}
	for name, test := range map[string]struct {
		script func(p *wire.Peer)
		lax    bool
	}{
		"in the first exchange":        {func(p *wire.Peer) { p.SendVersion(); p.ReceiveVersion(); flood(p) }, false},
		"in the first one, not strict": {func(p *wire.Peer) { p.SendVersion(); p.ReceiveVersion(); flood(p) }, true},
		"in a later one":               {func(p *wire.Peer) { p.Handshake(); flood(p) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *wire.Peer) { p.Lax = test.lax; test.script(p) })
			nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
			require.NoError(t, err)
			c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(s.HostKey)})
			err = c.Handshake(t.Context())
			if err == nil {
				_, err = c.ReadPacket()
			}
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			requireEnded(t, c, err)
		})
	}
}

// K2 and K3 in a re-exchange: messages that belong elsewhere, and a second KEXINIT.
func TestMessageThatIsOutOfPlaceInAReexchange(t *testing.T) {
	init := kexInit(curve)
	for name, message := range misplaced {
		t.Run(name, func(t *testing.T) { misplace(t, message) })
	}
	t.Run("K4 KEXINIT", func(t *testing.T) { misplace(t, init) })
	t.Run("K24 NEWKEYS", func(t *testing.T) { misplace(t, []byte{21}) })
}

func misplace(t *testing.T, message []byte) {
	for _, put := range []func(p *wire.Peer){
		func(p *wire.Peer) { p.After(20, message) },
		func(p *wire.Peer) { p.Before(31, message) },
		func(p *wire.Peer) { p.After(31, message, message) },
	} {
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
			put(p)
			p.Exchange()
			p.Drain()
		})
		_, err := c.ReadPacket()
		require.ErrorAs(t, err, new(*transport.ProtocolError))
		requireEnded(t, c, err)
	}
}
