package transport

import (
	"crypto/rand"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// dhExchange is the Diffie-Hellman computation of RFC 4253 section 8.
type dhExchange struct {
	*dhGroup
	x *big.Int // our secret exponent
	e *big.Int // our public value
}

// newDHExchange draws an exponent of that many bits, twice what the hash
// brings, as OpenSSH does. A longer one costs time and adds no strength.
func newDHExchange(group *dhGroup, bits int) (*dhExchange, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	x, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return nil, err
	}
	x.Add(x, limit) // so that it has exactly that many bits
	return &dhExchange{dhGroup: group, x: x, e: new(big.Int).Exp(group.g, x, group.p)}, nil
}

// secret checks the server's public value as RFC 4253 section 8 and RFC 8268
// section 4 demand, and computes K.
func (d *dhExchange) secret(f *big.Int) (*big.Int, error) {
	most := new(big.Int).Sub(d.p, big.NewInt(2))
	if f.Cmp(big.NewInt(2)) < 0 || f.Cmp(most) > 0 {
		return nil, protocolErrorf("the server's Diffie-Hellman value is out of range")
	}
	return new(big.Int).Exp(f, d.x, d.p), nil
}

// kexDH is a key exchange in a fixed group, RFC 4253 section 8 and RFC 8268.
type kexDH struct {
	group func() *dhGroup
	bits  int
	*dhExchange
}

func newDH(group func() *dhGroup, bits int) func() kex {
	return func() kex { return &kexDH{group: group, bits: bits} }
}

func (k *kexDH) begin() ([]byte, error) {
	var err error
	if k.dhExchange, err = newDHExchange(k.group(), k.bits); err != nil {
		return nil, err
	}
	return ssh.Marshal(&kexDHInitMsg{E: k.e}), nil
}

func (k *kexDH) next(reply []byte) ([]byte, *kexResult, error) {
	m := new(kexDHReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, nil, errKexReply(reply, err)
	}
	secret, err := k.secret(m.F)
	if err != nil {
		return nil, nil, err
	}
	return nil, &kexResult{
		hostKey:   m.HostKey,
		signature: m.Signature,
		values:    appendInt(appendInt(nil, k.e), m.F),
		secret:    appendInt(nil, secret),
	}, nil
}

// Group sizes of the group exchange, in bits: what RFC 8270 demands at least,
// a strength of 128 bits, and what OpenSSH's servers have at most.
const (
	gexMin       = 2048
	gexPreferred = 3072
	gexMax       = 8192
)

// kexGex is the group exchange of RFC 4419: the server chooses the group.
type kexGex struct {
	*dhExchange // nil until the group is known
}

func (k *kexGex) begin() ([]byte, error) {
	return ssh.Marshal(&kexGexRequestMsg{MinBits: gexMin, PreferredBits: gexPreferred, MaxBits: gexMax}), nil
}

func (k *kexGex) next(reply []byte) ([]byte, *kexResult, error) {
	if k.dhExchange == nil {
		packet, err := k.handleGroup(reply)
		return packet, nil, err
	}
	m := new(kexGexReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, nil, errKexReply(reply, err)
	}
	secret, err := k.secret(m.F)
	if err != nil {
		return nil, nil, err
	}
	return nil, &kexResult{hostKey: m.HostKey, signature: m.Signature, values: k.values(m.F), secret: appendInt(nil, secret)}, nil
}

// handleGroup checks the group before we compute anything in it. The server
// could as well publish the secret, so its primality is only looked at, not
// proven: what matters is that a mistake does not go unseen.
func (k *kexGex) handleGroup(reply []byte) ([]byte, error) {
	m := new(kexGexGroupMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, errKexReply(reply, err)
	}
	one := big.NewInt(1)
	most := new(big.Int).Sub(m.P, one)
	switch bits := m.P.BitLen(); {
	case m.P.Sign() < 0 || bits < gexMin || bits > gexMax:
		return nil, protocolErrorf("the server's group has %d bits, not %d to %d", bits, gexMin, gexMax)
	case m.G.Cmp(one) <= 0 || m.G.Cmp(most) >= 0:
		return nil, protocolErrorf("the generator of the server's group is out of range")
	case !m.P.ProbablyPrime(0):
		return nil, protocolErrorf("the modulus of the server's group is not prime")
	}
	var err error
	if k.dhExchange, err = newDHExchange(&dhGroup{p: m.P, g: m.G}, 512); err != nil {
		return nil, err
	}
	return ssh.Marshal(&kexGexInitMsg{E: k.e}), nil
}

// values are what RFC 4419 section 3 adds to the exchange hash.
func (k *kexGex) values(f *big.Int) []byte {
	b := ssh.Marshal(struct{ Min, Preferred, Max uint32 }{gexMin, gexPreferred, gexMax})
	for _, n := range []*big.Int{k.p, k.g, k.e, f} {
		b = appendInt(b, n)
	}
	return b
}
