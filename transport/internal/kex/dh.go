package kex

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// dhExchange is the Diffie-Hellman computation of RFC 4253 section 8.
type dhExchange struct {
	*dhGroup
	x *big.Int // our secret exponent
	e *big.Int // our public value
}

// newDHExchange draws an exponent of so many bits, twice the strength of the hash, as
// OpenSSH does. A longer exponent costs time and adds no strength.
func newDHExchange(group *dhGroup, bits int) (*dhExchange, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	x, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return nil, err
	}
	x.Add(x, limit) // now x has exactly so many bits
	return &dhExchange{dhGroup: group, x: x, e: new(big.Int).Exp(group.g, x, group.p)}, nil
}

// secret checks the server's public value by RFC 4253 section 8 and RFC 8268 section
// 4, and computes K.
func (d *dhExchange) secret(f *big.Int) (*big.Int, error) {
	most := new(big.Int).Sub(d.p, big.NewInt(2))
	if f.Cmp(big.NewInt(2)) < 0 || f.Cmp(most) > 0 {
		return nil, fmt.Errorf("the server's Diffie-Hellman value is out of range")
	}
	return new(big.Int).Exp(f, d.x, d.p), nil
}

// fixedGroup is a key exchange in a fixed group, RFC 4253 section 8 and RFC 8268.
type fixedGroup struct {
	group func() *dhGroup
	bits  int
	*dhExchange
}

// newDH returns a function that starts a run in a group, with an exponent of so many
// bits.
func newDH(group func() *dhGroup, bits int) func() Method {
	return func() Method { return &fixedGroup{group: group, bits: bits} }
}

// Begin sends our public value.
func (k *fixedGroup) Begin() ([]byte, error) {
	var err error
	if k.dhExchange, err = newDHExchange(k.group(), k.bits); err != nil {
		return nil, err
	}
	return ssh.Marshal(&dhInitMsg{E: k.e}), nil
}

// Next takes the server's public value.
func (k *fixedGroup) Next(reply []byte) ([]byte, *Result, error) {
	m := new(dhReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, nil, errReply(reply, err)
	}
	secret, err := k.secret(m.F)
	if err != nil {
		return nil, nil, err
	}
	return nil, &Result{
		HostKey:   m.HostKey,
		Signature: m.Signature,
		Values:    appendInt(appendInt(nil, k.e), m.F),
		Secret:    appendInt(nil, secret),
	}, nil
}

// Group sizes of the group exchange, in bits: the least of RFC 8270, a strength of 128
// bits, and the most of OpenSSH's servers.
const (
	gexMin       = 2048
	gexPreferred = 3072
	gexMax       = 8192
)

// groupExchange is the group exchange of RFC 4419: the server chooses the group.
type groupExchange struct {
	*dhExchange // nil until the group is known
}

// Begin asks for a group.
func (k *groupExchange) Begin() ([]byte, error) {
	return ssh.Marshal(&gexRequestMsg{MinBits: gexMin, PreferredBits: gexPreferred, MaxBits: gexMax}), nil
}

// Next takes the group first, and the server's public value then.
func (k *groupExchange) Next(reply []byte) ([]byte, *Result, error) {
	if k.dhExchange == nil {
		packet, err := k.handleGroup(reply)
		return packet, nil, err
	}
	m := new(gexReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, nil, errReply(reply, err)
	}
	secret, err := k.secret(m.F)
	if err != nil {
		return nil, nil, err
	}
	return nil, &Result{HostKey: m.HostKey, Signature: m.Signature, Values: k.values(m.F), Secret: appendInt(nil, secret)}, nil
}

// handleGroup checks the group before we compute with the group. A hostile server could
// as well publish the secret, so the test of the prime is short: the test is there for
// mistakes.
func (k *groupExchange) handleGroup(reply []byte) ([]byte, error) {
	m := new(gexGroupMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, errReply(reply, err)
	}
	one := big.NewInt(1)
	most := new(big.Int).Sub(m.P, one)
	switch bits := m.P.BitLen(); {
	case m.P.Sign() < 0 || bits < gexMin || bits > gexMax:
		return nil, fmt.Errorf("the server's group has %d bits, not %d to %d", bits, gexMin, gexMax)
	case m.G.Cmp(one) <= 0 || m.G.Cmp(most) >= 0:
		return nil, fmt.Errorf("the generator of the server's group is out of range")
	case !m.P.ProbablyPrime(0):
		return nil, fmt.Errorf("the modulus of the server's group is not prime")
	}
	var err error
	if k.dhExchange, err = newDHExchange(&dhGroup{p: m.P, g: m.G}, 512); err != nil {
		return nil, err
	}
	return ssh.Marshal(&gexInitMsg{E: k.e}), nil
}

// values are the values of RFC 4419 section 3 for the exchange hash.
func (k *groupExchange) values(f *big.Int) []byte {
	b := ssh.Marshal(struct{ Min, Preferred, Max uint32 }{gexMin, gexPreferred, gexMax})
	for _, n := range []*big.Int{k.p, k.g, k.e, f} {
		b = appendInt(b, n)
	}
	return b
}

type dhInitMsg struct {
	E *big.Int `sshtype:"30"`
}

type dhReplyMsg struct {
	HostKey   []byte `sshtype:"31"`
	F         *big.Int
	Signature []byte
}

type gexRequestMsg struct {
	MinBits       uint32 `sshtype:"34"`
	PreferredBits uint32
	MaxBits       uint32
}

type gexGroupMsg struct {
	P *big.Int `sshtype:"31"`
	G *big.Int
}

type gexInitMsg struct {
	E *big.Int `sshtype:"32"`
}

type gexReplyMsg struct {
	HostKey   []byte `sshtype:"33"`
	F         *big.Int
	Signature []byte
}
