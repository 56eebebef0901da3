package transport_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"

	"math/big"

	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// K14 and CVE-2020-9283: keys of a wrong size, and signatures that are almost right.
func TestLiesInEd25519Signatures(t *testing.T) {
	const algorithm = ssh.KeyAlgoED25519
	other := sshtest.NewSigner(t, algorithm)
	blob := hostKey().PublicKey().Marshal()
	changed := func(change func(b []byte) []byte) func([]byte) []byte { return altering(hostKey(), algorithm, change) }
	whole := func(change func(b []byte) []byte) func([]byte) []byte {
		honest := signing(hostKey(), algorithm)
		return func(hash []byte) []byte { return change(honest(hash)) }
	}
	says := func(s []byte) func([]byte) []byte { return func([]byte) []byte { return s } }
	for name, l := range map[string]lie{
		"honest":                {holds: true},
		"of another key":        {sign: signing(other, algorithm)},
		"of another hash":       {sign: func([]byte) []byte { return signing(hostKey(), algorithm)(make([]byte, 32)) }},
		"flipped bit":           {sign: changed(func(b []byte) []byte { b[9] ^= 1; return b })},
		"S plus the order":      {sign: changed(func(b []byte) []byte { addOrder(b[32:]); return b }), differ: "RFC 8032 section 5.1.7 has it refused"},
		"highest bits of S":     {sign: changed(func(b []byte) []byte { b[63] |= 0x80; return b })},
		"byte too few":          {sign: changed(func(b []byte) []byte { return b[:63] })},
		"byte too many":         {sign: changed(func(b []byte) []byte { return append(b, 0) })},
		"empty inside":          {sign: changed(func([]byte) []byte { return []byte{} })},
		"zero":                  {sign: changed(func([]byte) []byte { return make([]byte, 64) })},
		"empty":                 {sign: says([]byte{})},
		"format only":           {sign: says(ssh.Marshal(struct{ F string }{algorithm}))},
		"trailing byte":         {sign: whole(func(b []byte) []byte { return append(b, 0) })},
		"last byte missing":     {sign: whole(func(b []byte) []byte { return b[:len(b)-1] })},
		"length beyond the end": {sign: whole(func(b []byte) []byte { b[len(algorithm)+4] = 0xff; return b })},
		"other format":          {sign: whole(func(b []byte) []byte { return bytes.Replace(b, []byte("ed25519"), []byte("ed25518"), 1) })},
		"certificate's format":  {sign: says(signature(ssh.CertAlgoED25519v01, make([]byte, 64)))},

		"key with a trailing byte":     {blob: append(bytes.Clone(blob), 0)},
		"key of 31 bytes":              {blob: ssh.Marshal(struct{ T, K string }{algorithm, string(blob[19:50])})},
		"key of 33 bytes":              {blob: ssh.Marshal(struct{ T, K string }{algorithm, string(blob[19:]) + "\x00"})},
		"key without its last byte":    {blob: blob[:50]},
		"no key":                       {blob: []byte{}},
		"key of another":               {blob: other.PublicKey().Marshal()},
		"key that is not on the curve": {blob: ssh.Marshal(struct{ T, K string }{algorithm, "\x02" + strings.Repeat("\x00", 31)})},
	} {
		t.Run(name, l.complete().judge)
	}
}

// smallOrder are the Ed25519 points whose order divides 8, in all their spellings.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// K14: everybody can sign with a key of small order. S is zero and R a point of small
// order; about every other hash has a point that verifies.
func TestLiesByEd25519KeysOfSmallOrder(t *testing.T) {
	for _, point := range smallOrder {
		public, err := ssh.ParsePublicKey(ssh.Marshal(struct{ T, K string }{ssh.KeyAlgoED25519, string(unhex(point))}))
		require.NoError(t, err)
		l := lie{differ: "OpenSSH does not look", blob: public.Marshal(), sign: func(hash []byte) []byte {
			for _, r := range smallOrder {
				s := &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: append(unhex(r), make([]byte, 32)...)}
				if public.Verify(hash, s) == nil {
					return ssh.Marshal(s)
				}
			}
			return nil
		}}
		t.Run(point, l.complete().judge)
	}
}

// K10, K14 and K15: numbers out of range, spelt otherwise, or of another curve.
func TestLiesInECDSASignatures(t *testing.T) {
	const algorithm = ssh.KeyAlgoECDSA256
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewSignerFromSigner(private)
	require.NoError(t, err)
	n := elliptic.P256().Params().N
	changed := func(change func(r, s *big.Int) []byte) func([]byte) []byte {
		return altering(key, algorithm, func(blob []byte) []byte {
			var m struct{ R, S *big.Int }
			if err := ssh.Unmarshal(blob, &m); err != nil {
				panic(err)
			}
			return change(m.R, m.S)
		})
	}
	pair := func(r, s *big.Int) []byte { return append(mpint(r), mpint(s)...) }
	lies := map[string]lie{
		"honest":        {holds: true},
		"S negated":     {sign: changed(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Sub(n, s)) }), holds: true}, // as ECDSA is
		"R plus N":      {sign: changed(func(r, s *big.Int) []byte { return pair(new(big.Int).Add(r, n), s) })},
		"S plus N":      {sign: changed(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Add(s, n)) })},
		"R negative":    {sign: changed(func(r, s *big.Int) []byte { return pair(new(big.Int).Neg(r), s) })},
		"S negative":    {sign: changed(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Neg(s)) })},
		"S less N":      {sign: changed(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Sub(s, n)) })},
		"swapped":       {sign: changed(func(r, s *big.Int) []byte { return pair(s, r) })},
		"trailing byte": {sign: changed(func(r, s *big.Int) []byte { return append(pair(r, s), 0) })},
		"R only":        {sign: changed(func(r, s *big.Int) []byte { return mpint(r) })},
		"DER":           {sign: changed(func(r, s *big.Int) []byte { return der(r, s) })},
		"raw": {sign: changed(func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		})},
		"unneeded zero":  {sign: changed(func(r, s *big.Int) []byte { return append(wide(r), wide(s)...) }), holds: true},
		"another's name": {sign: func([]byte) []byte { return signature(ssh.KeyAlgoECDSA384, pair(n, n)) }},
	}
	for name, bad := range map[string]*big.Int{
		"zero": {}, "N": n, "a huge number": new(big.Int).Lsh(n, 9000), "minus one": big.NewInt(-1),
	} {
		lies["R is "+name] = lie{sign: changed(func(r, s *big.Int) []byte { return pair(bad, s) })}
		lies["S is "+name] = lie{sign: changed(func(r, s *big.Int) []byte { return pair(r, bad) })}
		lies["both are "+name] = lie{sign: changed(func(r, s *big.Int) []byte { return pair(bad, bad) })}
	}

	point, err := private.PublicKey.Bytes()
	require.NoError(t, err)
	encoded := func(curve string, point []byte) []byte {
		return ssh.Marshal(struct{ T, C, P string }{algorithm, curve, string(point)})
	}
	with := func(change func(b []byte) []byte) []byte { return encoded("nistp256", change(bytes.Clone(point))) }
	p384 := sshtest.NewSigner(t, ssh.KeyAlgoECDSA384).PublicKey().Marshal()
	for name, blob := range map[string][]byte{
		"infinity":          encoded("nistp256", []byte{0}),
		"nothing":           encoded("nistp256", nil),
		"zero":              encoded("nistp256", make([]byte, 65)),
		"compressed":        with(func(b []byte) []byte { return append([]byte{2 | b[64]&1}, b[1:33]...) }),
		"hybrid":            with(func(b []byte) []byte { b[0] = 6 | b[64]&1; return b }),
		"off the curve":     with(func(b []byte) []byte { b[64] ^= 1; return b }),
		"trailing byte":     with(func(b []byte) []byte { return append(b, 0) }),
		"byte behind all":   append(with(bytes.Clone), 0),
		"curve by no name":  encoded("", point),
		"curve by another":  encoded("nistp384", point),
		"P-384":             p384,
		"P-384 by our name": bytes.Replace(p384, []byte("ecdsa-sha2-nistp384"), []byte(algorithm), 1),
	} {
		lies["key is "+name] = lie{blob: blob}
	}
	for name, l := range lies {
		l.key = key
		t.Run(name, l.complete().judge)
	}
}

// wide is a positive number as an mpint with a needless zero byte.
func wide(n *big.Int) []byte {
	return ssh.Marshal(struct{ B []byte }{append([]byte{0, 0}, n.Bytes()...)})
}

// der is the signature of ECDSA in other protocols.
func der(r, s *big.Int) []byte {
	integer := func(n *big.Int) []byte { b := mpint(n)[4:]; return append([]byte{2, byte(len(b))}, b...) }
	body := append(integer(r), integer(s)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// K14, K15 and K16: padding, hashes and exponents.
func TestLiesInRSASignatures(t *testing.T) {
	// In a modulus of 2049 bits the first byte is 1, and in many signatures 0.
	private, err := rsa.GenerateKey(rand.Reader, 2049)
	require.NoError(t, err)
	key, err := ssh.NewSignerFromSigner(private)
	require.NoError(t, err)
	const algorithm = ssh.KeyAlgoRSASHA512
	changed := func(change func(b []byte) []byte) func([]byte) []byte { return altering(key, algorithm, change) }
	shortened := changed(func(b []byte) []byte {
		short := bytes.TrimLeft(b, "\x00")
		if len(short) == len(b) {
			return nil
		}
		return short
	})
	renamed := func(name string, hash crypto.Hash) func([]byte) []byte {
		return func(data []byte) []byte {
			h := hash.New()
			h.Write(data)
			s, err := rsa.SignPKCS1v15(nil, private, hash, h.Sum(nil))
			if err != nil {
				panic(err)
			}
			return signature(name, s)
		}
	}
	number := func(e, n *big.Int) []byte {
		return ssh.Marshal(struct {
			T    string
			E, N *big.Int
		}{ssh.KeyAlgoRSA, e, n})
	}
	n, e := private.N, big.NewInt(int64(private.E))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	weakKey, err := ssh.NewSignerFromSigner(weak)
	require.NoError(t, err)
	for name, l := range map[string]lie{
		"honest":                       {holds: true},
		"without zeros":                {sign: shortened, holds: true}, // RFC 8332 section 3 allows this, for older signers
		"zero too many":                {sign: changed(func(b []byte) []byte { return append([]byte{0}, b...) })},
		"byte too many":                {sign: changed(func(b []byte) []byte { return append(b, 0) })},
		"plus N":                       {sign: changed(func(b []byte) []byte { return plus(b, n) })},
		"zero":                         {sign: changed(func(b []byte) []byte { return make([]byte, len(b)) })},
		"one":                          {sign: changed(func(b []byte) []byte { return []byte{1} })},
		"empty inside":                 {sign: changed(func([]byte) []byte { return []byte{} })},
		"SHA-1":                        {sign: signing(key, ssh.KeyAlgoRSA)},
		"SHA-1 by the name of SHA-512": {sign: renamed(algorithm, crypto.SHA1)},
		"SHA-512 by the name of SHA-1": {sign: renamed(ssh.KeyAlgoRSA, crypto.SHA512)},
		"SHA-256":                      {sign: signing(key, ssh.KeyAlgoRSASHA256)},
		"PSS": {sign: func(data []byte) []byte {
			h := sha512.Sum512(data)
			s, err := rsa.SignPSS(rand.Reader, private, crypto.SHA512, h[:], nil)
			if err != nil {
				panic(err)
			}
			return signature(algorithm, s)
		}},
		"E of 1": {
			blob: number(big.NewInt(1), n), sign: forged(len(n.Bytes())),
			differ: "OpenSSH does not look, and everybody can sign",
		},
		"1024 bits":       {key: weakKey, differ: "OpenSSH asks for no more than that"},
		"16385 bits":      {blob: number(e, new(big.Int).Lsh(n, 16385-2049))},
		"negative N":      {blob: number(e, new(big.Int).Neg(n))},
		"negative E":      {blob: number(new(big.Int).Neg(e), n)},
		"E and N swapped": {blob: number(n, e)},
		"trailing byte":   {blob: append(number(e, n), 0)},
		"unneeded zero":   {blob: ssh.Marshal(struct{ T, E, N string }{ssh.KeyAlgoRSA, "\x00\x01\x00\x01", string(append([]byte{0, 0}, n.Bytes()...))}), holds: true},
		"algorithm's name": {
			blob:   bytes.Replace(number(e, n), []byte("\x00\x00\x00\x07ssh-rsa"), []byte("\x00\x00\x00\x0c"+algorithm), 1),
			differ: "RFC 8332 section 3 leaves the format of keys as it is",
		},
		"Ed25519": {blob: hostKey().PublicKey().Marshal(), sign: signing(hostKey(), ssh.KeyAlgoED25519)},
	} {
		l.key, l.algorithm = cmp.Or(l.key, key), algorithm
		t.Run(name, l.complete().judge)
	}

}

// plus adds N to a signature with room for the sum.
func plus(b []byte, n *big.Int) []byte {
	sum := new(big.Int).Add(new(big.Int).SetBytes(b), n)
	if sum.BitLen() > 8*len(b) {
		return nil
	}
	return sum.FillBytes(make([]byte, len(b)))
}

// forged is everybody's signature for the exponent 1: the padded hash itself, RFC 8017
// section 9.2.
func forged(size int) func([]byte) []byte {
	return func(data []byte) []byte {
		h := sha512.Sum512(data)
		tail := append(unhex("003051300d060960864801650304020305000440"), h[:]...)
		padding := bytes.Repeat([]byte{0xff}, size-2-len(tail))
		return signature(ssh.KeyAlgoRSASHA512, append(append([]byte{0, 1}, padding...), tail...))
	}
}
