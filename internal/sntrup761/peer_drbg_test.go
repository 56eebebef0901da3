package sntrup761_test

import (
	"crypto/aes"
	"math/big"
)

// drbg is the generator of NIST's known-answer tests: CTR_DRBG with AES-256 and without
// a derivation function, NIST SP 800-90A section 10.2.1.
type drbg struct {
	key   [32]byte
	value [16]byte
}

func newDRBG(seed []byte) *drbg {
	d := new(drbg)
	d.update(seed)
	return d
}

// block increments the value and encrypts the result.
func (d *drbg) block() []byte {
	value := new(big.Int).SetBytes(d.value[:])
	value.Add(value, big.NewInt(1)).And(value, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
	value.FillBytes(d.value[:])
	cipher, err := aes.NewCipher(d.key[:])
	if err != nil {
		panic(err)
	}
	out := make([]byte, aes.BlockSize)
	cipher.Encrypt(out, d.value[:])
	return out
}

// update mixes data of 48 bytes, or nothing, into the state.
func (d *drbg) update(data []byte) {
	var state []byte
	for len(state) < len(d.key)+len(d.value) {
		state = append(state, d.block()...)
	}
	for i, x := range data {
		state[i] ^= x
	}
	copy(d.key[:], state)
	copy(d.value[:], state[len(d.key):])
}

func (d *drbg) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], d.block())
	}
	d.update(nil)
	return len(p), nil
}

// words serves a large read by reads of four bytes. The reference implementation of the
// submission asks for each word alone, and the state of a drbg changes with each call.
type words struct{ *drbg }

func (w words) Read(p []byte) (int, error) {
	if len(p)%4 != 0 {
		return w.drbg.Read(p)
	}
	for i := 0; i < len(p); i += 4 {
		if _, err := w.drbg.Read(p[i : i+4]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}
