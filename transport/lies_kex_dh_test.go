package transport_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

type dhReply struct {
	HostKey   []byte `sshtype:"31"`
	F         *big.Int
	Signature []byte
}

type gexGroup struct {
	P *big.Int `sshtype:"31"`
	G *big.Int
}

// K11: public values out of range.
func TestDiffieHellmanRefusesBadValues(t *testing.T) {
	p := group14()
	for _, f := range outside(p) {
		err := replyTo(t, "diffie-hellman-group14-sha256", func([]byte) []byte { return ssh.Marshal(&dhReply{F: f}) })
		require.ErrorContains(t, err, "Diffie-Hellman value is out of range")
	}
}

// outside are numbers out of the range of public values modulo p.
func outside(p *big.Int) []*big.Int {
	add := func(n int64) *big.Int { return new(big.Int).Add(p, big.NewInt(n)) }
	return []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(-1), big.NewInt(-2), add(-1), add(0), add(1),
		new(big.Int).Neg(p), new(big.Int).Lsh(big.NewInt(1), 16384),
	}
}

// K11: groups of a wrong size, and numbers that are no group.
func TestGroupExchangeRefusesBadGroups(t *testing.T) {
	const gex = "diffie-hellman-group-exchange-sha256"
	p := group14()
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
		"composite 8192":   {P: new(big.Int).Exp(p, big.NewInt(4), nil), G: two},
		"reply, not group": {},
	} {
		t.Run(name, func(t *testing.T) {
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
		})
	}
	for _, second := range append(outside(p), nil) {
		err := refused(t, transport.Config{KeyExchanges: []string{gex}}, func(peer *wire.Peer) {
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
