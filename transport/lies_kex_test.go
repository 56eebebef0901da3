package transport_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"
)

// saying makes a value whose secret is known beforehand.
func saying(public, secret []byte) func([]byte) ([]byte, []byte) {
	return func([]byte) ([]byte, []byte) { return public, secret }
}

// respelling makes honest values, and spells them otherwise.
func respelling(value func([]byte) ([]byte, []byte), change func(public []byte) []byte) func([]byte) ([]byte, []byte) {
	return func(client []byte) (public, secret []byte) {
		public, secret = value(client)
		return change(bytes.Clone(public)), secret
	}
}

// until makes values until their secret, as on the wire, is as wanted.
func until(value func([]byte) ([]byte, []byte), wanted func(secret []byte) bool) func([]byte) ([]byte, []byte) {
	return func(client []byte) (public, secret []byte) {
		for secret == nil || !wanted(secret) {
			public, secret = value(client)
		}
		return public, secret
	}
}

// An mpint is sometimes shorter, sometimes longer than the numbers behind the secret.
// These are no lies, but rare.
func TestSecretsOfEveryLength(t *testing.T) {
	for kex, of := range map[string]struct {
		value func([]byte) ([]byte, []byte)
		size  int // of the numbers, in bytes
	}{
		"curve25519-sha256":             {agreeing(ecdh.X25519()), 32},
		"ecdh-sha2-nistp256":            {agreeing(ecdh.P256()), 32},
		"diffie-hellman-group14-sha256": {agreeingIn(group14()), 256},
	} {
		for name, wanted := range map[string]func(secret []byte) bool{
			"zero in front":                     func(secret []byte) bool { return len(secret) == 4+of.size-1 },
			"highest bit":                       func(secret []byte) bool { return len(secret) == 4+of.size+1 },
			"zero in front, highest bit behind": func(secret []byte) bool { return len(secret) == 4+of.size && secret[4] == 0 },
		} {
			t.Run(kex+" "+name, lie{kex: kex, value: until(of.value, wanted), holds: true}.complete().judge)
		}
	}
}

// K9, told by a server that knows the secret of its value.
func TestLiesAboutX25519(t *testing.T) {
	honest := agreeing(ecdh.X25519())
	for name, l := range map[string]lie{
		"honest":        {holds: true},
		"byte too few":  {value: respelling(honest, func(b []byte) []byte { return b[:31] })},
		"byte too many": {value: respelling(honest, func(b []byte) []byte { return append(b, 0) })},
		"highest bit": {
			value: respelling(honest, func(b []byte) []byte { b[31] |= 0x80; return b }),
			holds: true, differ: "RFC 7748 section 5 has it ignored, and OpenSSH computes with it"},
	} {
		t.Run(name, l.complete().judge)
	}
	for _, point := range lowOrder {
		l := lie{value: saying(unhex(point), mpint(new(big.Int)))}
		t.Run("low order "+point, l.complete().judge)
	}
}

// K10: points in other spellings, and points off the curve.
func TestLiesAboutECDH(t *testing.T) {
	honest, zero := agreeing(ecdh.P256()), mpint(new(big.Int))
	for name, l := range map[string]lie{
		"honest":        {value: honest, holds: true},
		"infinity":      {value: saying([]byte{0}, zero)},
		"nothing":       {value: saying(nil, zero)},
		"zero":          {value: saying(make([]byte, 65), zero)},
		"trailing byte": {value: respelling(honest, func(b []byte) []byte { return append(b, 0) })},
		"off the curve": {value: respelling(honest, func(b []byte) []byte { b[64] ^= 1; return b })},
		"compressed":    {value: respelling(honest, func(b []byte) []byte { return append([]byte{2 | b[64]&1}, b[1:33]...) })},
		"hybrid":        {value: respelling(honest, func(b []byte) []byte { b[0] = 6 | b[64]&1; return b })},
	} {
		l.kex = "ecdh-sha2-nistp256"
		t.Run(name, l.complete().judge)
	}
}

// agreeingIn makes honest values of a group with generator 2. Their exponents are
// short, and the client cannot know the exponents.
func agreeingIn(p *big.Int) func(client []byte) (public, secret []byte) {
	return func(client []byte) (public, secret []byte) {
		y, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
		if err != nil {
			panic(err)
		}
		return mpint(new(big.Int).Exp(big.NewInt(2), y, p))[4:], mpint(new(big.Int).Exp(new(big.Int).SetBytes(client), y, p))
	}
}

// K11: public values whose secret everybody knows.
func TestLiesAboutDiffieHellman(t *testing.T) {
	p := group14()
	honest := agreeingIn(p)
	lies := map[string]lie{
		"honest": {value: honest, holds: true},
		"unneeded zero": {
			value:  respelling(honest, func(b []byte) []byte { return append([]byte{0}, b...) }),
			differ: "RFC 4251 section 5 forbids it; OpenSSH hashes what it was sent, we hash an mpint"},
	}
	for i, f := range outside(p) {
		secret := mpint(big.NewInt(1)) // of p-1 this or p-1
		if new(big.Int).Mod(f, p).Sign() == 0 {
			secret = mpint(new(big.Int))
		}
		lies[fmt.Sprint("out of range ", i)] = lie{value: saying(mpint(f)[4:], secret)}
	}
	for name, l := range lies {
		l.kex = "diffie-hellman-group14-sha256"
		t.Run(name, l.complete().judge)
	}
}

// K11: groups that are none.
func TestLiesAboutGroups(t *testing.T) {
	p, two := group14(), big.NewInt(2)
	for name, l := range map[string]lie{
		"group 14":      {group: &gexGroup{p, two}, holds: true},
		"small":         {group: &gexGroup{new(big.Int).Rsh(p, 1), two}},
		"large":         {group: &gexGroup{new(big.Int).Lsh(p, 6145), two}},
		"negative":      {group: &gexGroup{new(big.Int).Neg(p), two}},
		"zero":          {group: &gexGroup{big.NewInt(0), two}},
		"G zero":        {group: &gexGroup{p, big.NewInt(0)}},
		"G one":         {group: &gexGroup{p, big.NewInt(1)}},
		"G one below P": {group: &gexGroup{p, new(big.Int).Sub(p, big.NewInt(1))}},
		"G equal to P":  {group: &gexGroup{p, p}},
		"even":          {group: &gexGroup{new(big.Int).Lsh(p, 1), two}},
		"composite": {
			group:  &gexGroup{new(big.Int).Mul(p, big.NewInt(3)), two},
			differ: "OpenSSH does not look"},
	} {
		l.kex = "diffie-hellman-group-exchange-sha256"
		t.Run(name, l.complete().judge)
	}
}
