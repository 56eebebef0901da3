package sntrup761_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// FuzzDecapsulate compares decapsulation with the model, for a key drawn from a seed and
// for ciphertexts of any kind: the input is XORed over an honest ciphertext.
func FuzzDecapsulate(f *testing.F) {
	f.Add([]byte("seed"), []byte{}, false)
	f.Add([]byte("seed"), []byte{1}, false)
	f.Add([]byte("seed"), make([]byte, sntrup761.CiphertextSize), true)
	f.Add([]byte("seed"), bytes.Repeat([]byte{0xff}, sntrup761.CiphertextSize), true)
	f.Add([]byte("other"), append(make([]byte, sntrup761.CiphertextSize-1), 0x80), false)
	f.Add([]byte("size"), make([]byte, sntrup761.CiphertextSize+1), true)
	f.Fuzz(func(t *testing.T, seed, input []byte, raw bool) {
		random := newDRBG(append(bytes.Clone(seed), make([]byte, 48)...)[:48])
		key := sntrup761.GenerateKeyFrom(random)
		shared, honest := key.EncapsulationKey().EncapsulateFrom(random)
		ciphertext := bytes.Clone(honest)
		if raw {
			ciphertext = input
		} else {
			for i := range min(len(input), len(ciphertext)) {
				ciphertext[i] ^= input[i]
			}
		}
		got, err := key.Decapsulate(ciphertext)
		if len(ciphertext) != sntrup761.CiphertextSize {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, model(key.Encoded(), ciphertext), got)
		require.Equal(t, bytes.Equal(ciphertext, honest), bytes.Equal(shared, got))
	})
}
