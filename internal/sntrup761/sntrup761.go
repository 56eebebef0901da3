// Package sntrup761 implements the key encapsulation mechanism Streamlined NTRU
// Prime with the parameters sntrup761, for the key exchange of RFC 9941. The
// specification is the third-round submission "NTRU Prime: round 3" to NIST of
// October 2020, cited here as NTRU Prime. The names of the exported functions are
// those of crypto/mlkem.
//
// Key generation, encapsulation and decapsulation have no branch and no memory
// address that depends on a secret: sorting is a fixed network, inversion runs a
// fixed number of steps, reductions multiply and shift, and the choice between the
// secret and its replacement for a wrong ciphertext is a mask. Two things are public
// by design: how often key generation draws g until g is invertible, and everything
// read from a public key or a ciphertext, whose decoding divides.
//
// The package claims nothing about a compiler that turns masks into branches, about
// processors whose multiplication takes a time of its operands (some 32-bit cores),
// about power or electromagnetic leaks, and about copies of secrets left in memory.
// Used in a hybrid, a fault here leaves the strength of the other half.
package sntrup761

import (
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"io"
)

// Sizes in bytes, NTRU Prime section 3.3.
const (
	EncapsulationKeySize = 1158
	CiphertextSize       = roundedSize + confirmSize
	SharedKeySize        = 32

	roundedSize = 1007 // an encoded polynomial with coefficients that are multiples of 3
	confirmSize = 32   // the hash by which a ciphertext confirms its plaintext
	smallSize   = 191  // an encoded small polynomial
)

// Parameters of sntrup761: the ring is (Z/q)[x]/(x^p-x-1), and a short polynomial
// has w coefficients that are not zero.
const (
	p = 761
	q = 4591
	w = 286
)

// Prefixes keep the uses of SHA-512 apart, NTRU Prime section 3.6.
const (
	hashRejected = iota // the shared key of a ciphertext that is refused
	hashSession         // the shared key
	hashConfirm         // the confirmation
	hashSecret          // the plaintext
	hashKey             // the encapsulation key
)

// EncapsulationKey is a public key.
type EncapsulationKey struct {
	h       rq
	encoded [EncapsulationKeySize]byte
	hash    [confirmSize]byte
}

// DecapsulationKey is a private key with its public key.
type DecapsulationKey struct {
	f         small
	gInverse  small // 1/g modulo 3
	rejection [smallSize]byte
	public    EncapsulationKey
}

// GenerateKey draws a key.
func GenerateKey() *DecapsulationKey { return generateKey(rand.Reader) }

// generateKey draws a key from random, whose reads do not fail.
func generateKey(random io.Reader) *DecapsulationKey {
	var g small
	k := new(DecapsulationKey)
	for invertible := false; !invertible; {
		g = randomSmall(random)
		k.gInverse, invertible = invert3(&g)
	}
	k.f = randomShort(random)
	h := invertTriple(&k.f)
	k.public.h = multiply(&h, &g)
	appendRq(k.public.encoded[:0], &k.public.h)
	read(random, k.rejection[:])
	k.public.hash = hash(hashKey, k.public.encoded[:])
	return k
}

// EncapsulationKey returns the public key of k.
func (k *DecapsulationKey) EncapsulationKey() *EncapsulationKey { return &k.public }

// NewEncapsulationKey parses a public key. Each string of the right size is a key.
func NewEncapsulationKey(encoded []byte) (*EncapsulationKey, error) {
	if len(encoded) != EncapsulationKeySize {
		return nil, errors.New("sntrup761: encapsulation key of wrong size")
	}
	k := &EncapsulationKey{h: parseRq(encoded)}
	copy(k.encoded[:], encoded)
	k.hash = hash(hashKey, encoded)
	return k, nil
}

// Bytes returns a copy of the encoded public key.
func (k *EncapsulationKey) Bytes() []byte { return append([]byte(nil), k.encoded[:]...) }

// Encapsulate draws a shared key, and encrypts the shared key for the owner of k.
func (k *EncapsulationKey) Encapsulate() (sharedKey, ciphertext []byte) {
	return k.encapsulate(rand.Reader)
}

func (k *EncapsulationKey) encapsulate(random io.Reader) (sharedKey, ciphertext []byte) {
	r := randomShort(random)
	secret := hash(hashSecret, appendSmall(nil, &r))
	ciphertext = k.encrypt(&r, &secret)
	key := hash(hashSession, secret[:], ciphertext)
	return key[:], ciphertext
}

// encrypt makes the ciphertext of r, whose hash is secret.
func (k *EncapsulationKey) encrypt(r *small, secret *[confirmSize]byte) []byte {
	c := multiply(&k.h, r)
	c.round()
	confirmation := hash(hashConfirm, secret[:], k.hash[:])
	return append(appendRounded(make([]byte, 0, CiphertextSize), &c), confirmation[:]...)
}

// Decapsulate returns the shared key of a ciphertext. A ciphertext not made by
// Encapsulate for this key gives a key that only the owner of k can compute (implicit
// rejection), in the same time. The error tells of a wrong size, and of nothing else.
func (k *DecapsulationKey) Decapsulate(ciphertext []byte) (sharedKey []byte, err error) {
	if len(ciphertext) != CiphertextSize {
		return nil, errors.New("sntrup761: ciphertext of wrong size")
	}
	c := parseRounded(ciphertext[:roundedSize])
	r := k.decrypt(&c)
	plaintext := appendSmall(make([]byte, 0, smallSize), &r)
	secret := hash(hashSecret, plaintext)

	differs := byte(differenceMask(k.public.encrypt(&r, &secret), ciphertext))
	for i := range plaintext {
		plaintext[i] ^= differs & (plaintext[i] ^ k.rejection[i])
	}
	secret = hash(hashSecret, plaintext)
	key := hash(hashSession+differs, secret[:], ciphertext) // hashRejected when all bits of differs are set
	return key[:], nil
}

// decrypt returns the short polynomial in c, or a fixed one when there is none.
func (k *DecapsulationKey) decrypt(c *rq) small {
	m := multiply(c, &k.f)
	m.triple()
	e := m.modulo3()
	r := multiply3(&e, &k.gInverse)
	keep := int8(^r.weightMask())
	for i := range r {
		var fixed int8
		if i < w { // a public index
			fixed = 1
		}
		r[i] = fixed ^ keep&(r[i]^fixed)
	}
	return r
}

// differenceMask is 0 for equal strings, else all bits.
func differenceMask(a, b []byte) int32 {
	var d int32
	for i := range a {
		d |= int32(a[i] ^ b[i])
	}
	return -d >> 31
}

// hash is half of a SHA-512 over the prefix and the parts.
func hash(prefix byte, parts ...[]byte) [confirmSize]byte {
	h := sha512.New()
	h.Write([]byte{prefix})
	for _, part := range parts {
		h.Write(part)
	}
	return [confirmSize]byte(h.Sum(nil))
}

// read fills b. A source of randomness that fails leaves nothing to go on with.
func read(random io.Reader, b []byte) {
	if _, err := io.ReadFull(random, b); err != nil {
		panic("sntrup761: no randomness: " + err.Error())
	}
}
