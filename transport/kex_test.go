package transport_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

var (
	ignore = []byte{2, 0, 0, 0, 0}
	debug  = []byte{4, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0}
	ping   = []byte{192, 0, 0, 0, 1, 'p'}
)

// misplaced are messages that belong elsewhere than into a key exchange.
var misplaced = map[string][]byte{
	"SERVICE_REQUEST":  {5, 0, 0, 0, 1, 'x'},
	"SERVICE_ACCEPT":   {6, 0, 0, 0, 1, 'x'},
	"EXT_INFO":         {7, 0, 0, 0, 0},
	"number 8":         {8},
	"number 22":        {22},
	"USERAUTH_FAILURE": {51, 0, 0, 0, 0, 0},
	"USERAUTH_SUCCESS": {52},
	"USERAUTH_BANNER":  {53, 0, 0, 0, 0, 0, 0, 0, 0},
	"GLOBAL_REQUEST":   {80, 0, 0, 0, 1, 'x', 1},
	"CHANNEL_OPEN":     {90, 0, 0, 0, 1, 'x'},
	"CHANNEL_DATA":     {94, 0, 0, 0, 0, 0, 0, 0, 0},
	"PING":             ping, // K23
	"PONG":             {193, 0, 0, 0, 0},
	"number 255":       {255},
	"number 0":         {0},
}

// harmless are messages that RFC 4253 section 7.1 allows everywhere.
var harmless = map[string][]byte{"IGNORE": ignore, "DEBUG": debug, "UNIMPLEMENTED": {3, 0, 0, 0, 0}}

// K2, K3 and K23: nothing but the key exchange is accepted in clear.
func TestMessageThatIsOutOfPlaceInTheHandshake(t *testing.T) {
	places := map[string]func(*sshtest.Peer, []byte){
		"before KEXINIT":    func(p *sshtest.Peer, m []byte) { p.Before(20, m) },
		"after KEXINIT":     func(p *sshtest.Peer, m []byte) { p.After(20, m) },
		"before the reply":  func(p *sshtest.Peer, m []byte) { p.Before(31, m) },
		"before NEWKEYS":    func(p *sshtest.Peer, m []byte) { p.After(31, m) },
		"second of NEWKEYS": func(p *sshtest.Peer, m []byte) { p.Before(31, ignore, m) },
	}
	for place, put := range places {
		for name, message := range misplaced {
			for _, lax := range []bool{false, true} {
				err := refused(t, transport.Config{}, func(p *sshtest.Peer) {
					p.Lax = lax
					put(p, message)
				})
				require.ErrorAs(t, err, new(*transport.ProtocolError), "%s %s", name, place)
			}
		}
		for name, message := range harmless {
			err := refused(t, transport.Config{}, func(p *sshtest.Peer) { put(p, message) })
			require.ErrorAs(t, err, new(*transport.ProtocolError), "K2 %s %s", name, place)

			if place == "before KEXINIT" && name == "UNIMPLEMENTED" {
				continue // there is nothing yet that it could answer
			}
			c := connected(t, transport.Config{}, func(p *sshtest.Peer) {
				p.Lax = true
				put(p, message)
			}, drain)
			require.False(t, c.State().StrictKex, "%s %s", name, place)
			require.NoError(t, c.Close())
		}
	}
}

// K1: the attacker inserts a packet into the handshake and takes one away
// behind it. With strict key exchange either is seen.
func TestPrefixTruncation(t *testing.T) {
	err := refused(t, transport.Config{}, func(p *sshtest.Peer) { p.After(31, ignore) })
	require.EqualError(t, err, "transport: strict key exchange violated: message 2 during the exchange")
	err = refused(t, transport.Config{}, func(p *sshtest.Peer) { p.Before(20, ignore) })
	require.EqualError(t, err, "transport: strict key exchange violated: KEXINIT is not the server's first packet")

	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		p.Seal([]byte{7, 0, 0, 0, 0}) // never sent
		p.Send([]byte{80})
		p.Drain()
	})
	_, err = c.ReadPacket()
	require.ErrorContains(t, err, "message authentication failed")
	requireEnded(t, c, err)
}

func TestServerWithoutStrictKexCanBeRefused(t *testing.T) {
	err := refused(t, transport.Config{RequireStrictKex: true}, func(p *sshtest.Peer) { p.Lax = true })
	var negotiation *transport.NegotiationError
	require.ErrorAs(t, err, &negotiation)
	require.Equal(t, "strict key exchange", negotiation.Kind)
	require.Equal(t, []string{"curve25519-sha256"}, negotiation.Theirs)
	connected(t, transport.Config{RequireStrictKex: true}, nil, drain)
}

// K2: the marker counts in the first KEXINIT only, whoever sends it later.
func TestStrictKexIsSettledByTheFirstExchange(t *testing.T) {
	for _, lax := range []bool{false, true} {
		c := connected(t, transport.Config{}, func(p *sshtest.Peer) { p.Lax = lax }, func(p *sshtest.Peer) {
			p.KexInit = func(m *sshtest.KexInitMsg) { m.Kex = []string{"kex-strict-s-v00@openssh.com", "curve25519-sha256"} }
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
	reply := ssh.Marshal(&sshtest.KexECDHReplyMsg{})
	for name, change := range map[string]script{
		"K4 second KEXINIT":            func(p *sshtest.Peer) { p.After(20, init) },
		"K4 many KEXINITs":             func(p *sshtest.Peer) { p.After(20, each(slices.Repeat([][]byte{init}, 100))...) },
		"K4 KEXINIT before NEWKEYS":    func(p *sshtest.Peer) { p.After(31, init) },
		"K24 NEWKEYS before the reply": func(p *sshtest.Peer) { p.Before(31, []byte{21}) },
		"K24 NEWKEYS for KEXINIT":      func(p *sshtest.Peer) { p.Before(20, []byte{21}) },
		"K24 NEWKEYS with payload":     func(p *sshtest.Peer) { p.Instead(21, []byte{21, 0}) },
		"K24 reply for NEWKEYS":        func(p *sshtest.Peer) { p.Instead(21, reply) },
		"K24 second reply":             func(p *sshtest.Peer) { p.After(31, reply) },
		"K24 reply before KEXINIT":     func(p *sshtest.Peer) { p.Before(20, reply) },
		"K24 INIT of the client":       func(p *sshtest.Peer) { p.Before(31, []byte{30, 0, 0, 0, 0}) },
		"K24 reply of a group":         func(p *sshtest.Peer) { p.Before(31, []byte{33, 0, 0, 0, 0}) },
		"K24 number 49":                func(p *sshtest.Peer) { p.Before(31, []byte{49}) },
		"truncated KEXINIT":            func(p *sshtest.Peer) { p.Before(20, init[:len(init)-1]) },
		"longer KEXINIT":               func(p *sshtest.Peer) { p.Before(20, append(bytes.Clone(init), 0)) },
		"empty reply":                  func(p *sshtest.Peer) { p.Before(31, []byte{31}) },
		"longer reply":                 func(p *sshtest.Peer) { p.Before(31, append(bytes.Clone(reply), 0)) },
	} {
		for _, lax := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				err := refused(t, transport.Config{}, func(p *sshtest.Peer) {
					p.Lax = lax
					change(p)
				})
				require.ErrorAs(t, err, new(*transport.ProtocolError))
			})
		}
	}
	t.Run("K24 second NEWKEYS", func(t *testing.T) {
		c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) { p.Send([]byte{21}); p.Drain() })
		_, err := c.ReadPacket()
		require.ErrorContains(t, err, "message 21 outside a key exchange")
		requireEnded(t, c, err)
	})
}

// K6: no common algorithm, in each list.
func TestNegotiationError(t *testing.T) {
	const theirs = "\x1b[31mnone-of-yours"
	for kind, list := range map[string]func(m *sshtest.KexInitMsg) *[]string{
		"key exchange":                 func(m *sshtest.KexInitMsg) *[]string { return &m.Kex },
		"host key":                     func(m *sshtest.KexInitMsg) *[]string { return &m.HostKey },
		"cipher client to server":      func(m *sshtest.KexInitMsg) *[]string { return &m.CipherIn },
		"cipher server to client":      func(m *sshtest.KexInitMsg) *[]string { return &m.CipherOut },
		"MAC client to server":         func(m *sshtest.KexInitMsg) *[]string { return &m.MACIn },
		"MAC server to client":         func(m *sshtest.KexInitMsg) *[]string { return &m.MACOut },
		"compression client to server": func(m *sshtest.KexInitMsg) *[]string { return &m.CompressionIn },
		"compression server to client": func(m *sshtest.KexInitMsg) *[]string { return &m.CompressionOut },
	} {
		for _, names := range [][]string{{theirs}, nil, make([]string, 10000), {"ext-info-c", "kex-strict-c-v00@openssh.com"}} {
			t.Run(kind, func(t *testing.T) {
				err := refused(t, transport.Config{}, inits(func(m *sshtest.KexInitMsg) {
					m.CipherIn, m.CipherOut = []string{"aes128-ctr"}, []string{"aes128-ctr"} // so that MACs are needed
					m.MACIn, m.MACOut = []string{"hmac-sha2-256"}, []string{"hmac-sha2-256"}
					*list(m) = names
				}))
				if len(names) == 10000 { // one comma after the other
					require.ErrorAs(t, err, new(*transport.ProtocolError))
					return
				}
				var negotiation *transport.NegotiationError
				require.ErrorAs(t, err, &negotiation)
				require.Equal(t, kind, negotiation.Kind)
				require.NotEmpty(t, negotiation.Ours)
				require.Len(t, negotiation.Theirs, len(names))
				require.NotContains(t, err.Error(), "\x1b")
				require.Less(t, len(err.Error()), 2000)
			})
		}
	}
}

func TestNameListsAreBounded(t *testing.T) {
	for name, list := range map[string]func(m *sshtest.KexInitMsg) *[]string{
		"first": func(m *sshtest.KexInitMsg) *[]string { return &m.Kex },
		"last":  func(m *sshtest.KexInitMsg) *[]string { return &m.LanguageOut },
	} {
		t.Run(name, func(t *testing.T) {
			filled := func(n int) script {
				return inits(func(m *sshtest.KexInitMsg) {
					*list(m) = append(*list(m), slices.Repeat([]string{"x"}, n-len(*list(m)))...)
				})
			}
			connected(t, transport.Config{}, filled(256), drain)
			err := refused(t, transport.Config{}, filled(257))
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			require.ErrorContains(t, err, "KEXINIT with a list of 257 names, more than 256")
		})
	}
}

// K6: languages need no agreement.
func TestLanguagesNeedNoAgreement(t *testing.T) {
	connected(t, transport.Config{}, inits(func(m *sshtest.KexInitMsg) {
		m.LanguageIn, m.LanguageOut = []string{"tlh"}, []string{"tlh"}
	}), drain)
}

// RFC 4253 section 7: the packet after first_kex_packet_follows is ignored if
// the guess was wrong, and belongs to the exchange if it was right.
func TestServerGuesses(t *testing.T) {
	wrong := func(m *sshtest.KexInitMsg) {
		m.FirstKexFollows = true
		m.Kex = append([]string{"guessed@example.com"}, m.Kex...)
	}
	right := func(m *sshtest.KexInitMsg) { m.FirstKexFollows = true }
	config := transport.Config{KeyExchanges: []string{"curve25519-sha256"}}
	for _, lax := range []bool{false, true} {
		guess := func(change func(m *sshtest.KexInitMsg), messages ...any) script {
			return func(p *sshtest.Peer) {
				p.Lax, p.KexInit = lax, change
				p.After(20, messages...)
			}
		}
		c := connected(t, config, guess(wrong, []byte{31, 1, 2, 3}), func(p *sshtest.Peer) { p.Exchange(); p.Send([]byte{80}); p.Drain() })
		_, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, 2, c.State().Exchanges)

		err = refused(t, config, guess(right, []byte{31, 1, 2, 3}))
		require.ErrorContains(t, err, "malformed key exchange reply")
		connected(t, config, guess(right), drain)
	}
	for _, message := range [][]byte{{52}, {21}} {
		err := refused(t, config, func(p *sshtest.Peer) {
			p.KexInit = wrong
			p.After(20, message)
		})
		require.ErrorAs(t, err, new(*transport.ProtocolError), "a guess is a message of a method")
	}
}

// replyTo runs a handshake by one method, whose answer the test makes up, and
// returns the error.
func replyTo(t *testing.T, kex string, answer func(x []byte) []byte) error {
	t.Helper()
	err := refused(t, transport.Config{KeyExchanges: []string{kex}}, answers(kex, answer))
	require.ErrorAs(t, err, new(*transport.ProtocolError))
	return err
}

// answers plays a key exchange by that method, up to the answer to the
// client's first message of it.
func answers(kex string, answer func(x []byte) []byte) script {
	return func(p *sshtest.Peer) {
		begin(p, kex)
		p.Send(answer(p.Receive()))
		p.Drain()
	}
}

// begin plays a handshake up to both KEXINITs, which agree on that method.
func begin(p *sshtest.Peer, kex string) {
	p.KexInit = func(m *sshtest.KexInitMsg) { m.Kex[0] = kex }
	p.SendVersion()
	p.ReceiveVersion()
	p.SendKexInit()
	p.ReceiveKexInit()
}

// inits is a server with another KEXINIT.
func inits(change func(m *sshtest.KexInitMsg)) script {
	return func(p *sshtest.Peer) { p.KexInit = change }
}

func publicReply(public []byte) func([]byte) []byte {
	return func([]byte) []byte { return ssh.Marshal(&sshtest.KexECDHReplyMsg{Public: public}) }
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// lowOrder are the X25519 values that give an all-zero secret, by RFC 7748
// section 7 and their non-canonical spellings.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// K9
func TestX25519RefusesBadPoints(t *testing.T) {
	for _, point := range lowOrder {
		err := replyTo(t, "curve25519-sha256", publicReply(unhex(point)))
		require.ErrorContains(t, err, "key exchange value is not valid")
	}
	for _, n := range []int{0, 31, 33, 65} {
		replyTo(t, "curve25519-sha256", publicReply(bytes.Repeat([]byte{9}, n)))
	}
}

// K10
func TestECDHRefusesBadPoints(t *testing.T) {
	for name, curve := range map[string]ecdh.Curve{
		"ecdh-sha2-nistp256": ecdh.P256(), "ecdh-sha2-nistp384": ecdh.P384(), "ecdh-sha2-nistp521": ecdh.P521(),
	} {
		key, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		good := key.PublicKey().Bytes()
		other, err := ecdh.P384().GenerateKey(rand.Reader)
		require.NoError(t, err)
		if curve == ecdh.P384() {
			other, err = ecdh.P256().GenerateKey(rand.Reader)
			require.NoError(t, err)
		}
		change := func(f func(b []byte)) []byte {
			b := bytes.Clone(good)
			f(b)
			return b
		}
		for what, point := range map[string][]byte{
			"nothing":       {},
			"infinity":      {0},
			"zero":          make([]byte, len(good)),
			"zero affine":   change(func(b []byte) { clear(b[1:]) }),
			"off the curve": change(func(b []byte) { b[len(b)-1] ^= 1 }),
			"hybrid":        change(func(b []byte) { b[0] = 6 | b[len(b)-1]&1 }),
			"compressed":    append([]byte{2 | good[len(good)-1]&1}, good[1:1+len(good)/2]...),
			"other curve":   other.PublicKey().Bytes(),
			"byte too many": append(bytes.Clone(good), 0),
			"byte too few":  good[:len(good)-1],
			"above the prime": change(func(b []byte) {
				for i := range b[1:] {
					b[1+i] = 0xff
				}
			}),
		} {
			err := replyTo(t, name, publicReply(point))
			require.ErrorContains(t, err, "key exchange value is not valid", what)
		}
	}
}

type dhReply struct {
	HostKey   []byte `sshtype:"31"`
	F         *big.Int
	Signature []byte
}

type gexGroup struct {
	P *big.Int `sshtype:"31"`
	G *big.Int
}

// K11
func TestDiffieHellmanRefusesBadValues(t *testing.T) {
	start := time.Now()
	p := rfc3526(2048, 124476)
	for _, f := range outside(p) {
		err := replyTo(t, "diffie-hellman-group14-sha256", func([]byte) []byte { return ssh.Marshal(&dhReply{F: f}) })
		require.ErrorContains(t, err, "Diffie-Hellman value is out of range")
	}
	require.Less(t, time.Since(start), time.Minute)
}

// outside are the numbers that are no public values modulo p.
func outside(p *big.Int) []*big.Int {
	add := func(n int64) *big.Int { return new(big.Int).Add(p, big.NewInt(n)) }
	return []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(-1), big.NewInt(-2), add(-1), add(0), add(1),
		new(big.Int).Neg(p), new(big.Int).Lsh(big.NewInt(1), 16384),
	}
}

// K11
func TestGroupExchangeRefusesBadGroups(t *testing.T) {
	const gex = "diffie-hellman-group-exchange-sha256"
	p := rfc3526(2048, 124476)
	two := big.NewInt(2)
	shift := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)) }
	composite := new(big.Int).Mul(shift(1279), new(big.Int).Add(shift(1279), two)) // odd
	for name, group := range map[string]gexGroup{
		"small":            {P: shift(2047), G: two},
		"tiny":             {P: big.NewInt(7), G: two},
		"zero":             {P: big.NewInt(0), G: two},
		"negative":         {P: new(big.Int).Neg(p), G: two},
		"large":            {P: shift(8193), G: two},
		"huge":             {P: shift(200000), G: two},
		"even":             {P: new(big.Int).Lsh(p, 1), G: two},
		"composite":        {P: composite, G: two},
		"square":           {P: new(big.Int).Mul(shift(1279), shift(1279)), G: two},
		"G zero":           {P: p, G: big.NewInt(0)},
		"G one":            {P: p, G: big.NewInt(1)},
		"G negative":       {P: p, G: big.NewInt(-2)},
		"G one below P":    {P: p, G: new(big.Int).Sub(p, big.NewInt(1))},
		"G equal to P":     {P: p, G: p},
		"composite 8192":   {P: new(big.Int).Mul(rfc3526(4096, 240904), rfc3526(4096, 240904)), G: two},
		"reply, not group": {},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			replyTo(t, gex, func([]byte) []byte {
				if group.P == nil {
					return ssh.Marshal(struct {
						HostKey   []byte `sshtype:"33"`
						F         *big.Int
						Signature []byte
					}{F: two})
				}
				return ssh.Marshal(&group)
			})
			require.Less(t, time.Since(start), time.Minute)
		})
	}
	for _, second := range append(outside(p), nil) {
		err := refused(t, transport.Config{KeyExchanges: []string{gex}}, func(peer *sshtest.Peer) {
			begin(peer, gex)
			peer.Receive(34)
			peer.Send(&gexGroup{p, two})
			peer.Receive(32)
			if second == nil {
				peer.Send(&gexGroup{p, two}) // GROUP twice
			} else {
				peer.Send(ssh.Marshal(struct {
					HostKey   []byte `sshtype:"33"`
					F         *big.Int
					Signature []byte
				}{F: second}))
			}
			peer.Drain()
		})
		require.ErrorAs(t, err, new(*transport.ProtocolError))
	}
}

// K12
func TestMLKEMRefusesBadReplies(t *testing.T) {
	const name = "mlkem768x25519-sha256"
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	good := append(make([]byte, mlkem.CiphertextSize768), key.PublicKey().Bytes()...)
	for _, reply := range [][]byte{
		nil, good[:len(good)-1], append(bytes.Clone(good), 0), good[:mlkem.CiphertextSize768], good[mlkem.CiphertextSize768:],
	} {
		require.ErrorContains(t, replyTo(t, name, publicReply(reply)), "ML-KEM reply of")
	}
	for _, point := range lowOrder {
		err := replyTo(t, name, publicReply(append(bytes.Clone(good[:mlkem.CiphertextSize768]), unhex(point)...)))
		require.ErrorContains(t, err, "key exchange value is not valid")
	}
	// A ciphertext that is not for our key gives another secret, which the
	// signature does not cover.
	err = refused(t, transport.Config{KeyExchanges: []string{name}}, answers(name, func([]byte) []byte {
		sig, err := hostKey().Sign(rand.Reader, []byte("some hash"))
		if err != nil {
			panic(err)
		}
		return ssh.Marshal(&sshtest.KexECDHReplyMsg{HostKey: hostKey().PublicKey().Marshal(), Public: good, Signature: ssh.Marshal(sig)})
	}))
	require.ErrorIs(t, err, transport.ErrHostKeySignature)
}
