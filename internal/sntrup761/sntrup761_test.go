package sntrup761_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// knownAnswers writes the first n answers of NIST's test as PQCgenKAT_kem.c does: the
// seeds come from a generator seeded with 0, 1, 2 to 47.
func knownAnswers(t *testing.T, n int, random func(*drbg) io.Reader) string {
	t.Helper()
	entropy := make([]byte, 48)
	for i := range entropy {
		entropy[i] = byte(i)
	}
	seeds := newDRBG(entropy)
	text := new(strings.Builder)
	for count := range n {
		seed := make([]byte, 48)
		_, err := seeds.Read(seed)
		require.NoError(t, err)
		r := random(newDRBG(seed))
		key := sntrup761.GenerateKeyFrom(r)
		shared, ciphertext := key.EncapsulationKey().EncapsulateFrom(r)
		got, err := key.Decapsulate(ciphertext)
		require.NoError(t, err)
		require.Equal(t, shared, got)
		fmt.Fprintf(text, "count = %d\nseed = %X\npk = %X\nsk = %X\nct = %X\nss = %X\n\n",
			count, seed, key.EncapsulationKey().Bytes(), key.Encoded(), ciphertext, shared)
	}
	return text.String()
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// The answers of the submission are in NTRU Prime's package for round 3, the file
// KAT/kem/sntrup761/kat_kem.rsp. Bouncy Castle has a copy (bc-test-data,
// pqc/crypto/ntruprime/sntrup/sntrup761.rsp), whose SHA-256 stands here: the text has
// 800 KB.
func TestAnswersOfTheSubmission(t *testing.T) {
	text := knownAnswers(t, 100, func(d *drbg) io.Reader { return words{d} })
	require.Contains(t, text, "\nss = 344CA5E25F6DA5EA95E4A695B1C5446ECA9859334532E4A9537669F012C743A2\n")
	require.Contains(t, text, "\nss = 16C15126F734E51268BA916CE3B39A72E171AE79B8C2B6A68B34AB0DC5621B7E\n")
	require.Equal(t, "e720b256c12c50fa4281708342aae2c6a47b01ae83b152f3fd03d7680e376172", sum("# kem/sntrup761\n\n"+text))
}

// PQClean and liboqs draw all words of a polynomial at once, and publish the SHA-256 of
// their first answer (liboqs, tests/KATs/kem/kats.json).
func TestAnswersOfOtherImplementations(t *testing.T) {
	text := knownAnswers(t, 1, func(d *drbg) io.Reader { return d })
	require.Equal(t, "afc42c3a5b10f4ef69654250097ebda9b9564570f4086744b24a6daf2bd1f89a", sum(strings.TrimSuffix(text, "\n")))
}

func TestRoundTrips(t *testing.T) {
	for range 10 {
		key := sntrup761.GenerateKey()
		encoded := key.EncapsulationKey().Bytes()
		require.Len(t, encoded, sntrup761.EncapsulationKeySize)
		public, err := sntrup761.NewEncapsulationKey(encoded)
		require.NoError(t, err)
		require.Equal(t, key.EncapsulationKey(), public)
		for range 10 {
			shared, ciphertext := public.Encapsulate()
			require.Len(t, shared, sntrup761.SharedKeySize)
			require.Len(t, ciphertext, sntrup761.CiphertextSize)
			got, err := key.Decapsulate(ciphertext)
			require.NoError(t, err)
			require.Equal(t, shared, got)
		}
	}
}

// A changed bit in a ciphertext gives the key of the refusal, always the same,
// and another one for each ciphertext.
func TestChangedCiphertextsGiveOtherKeys(t *testing.T) {
	key := sntrup761.GenerateKey()
	shared, ciphertext := key.EncapsulationKey().Encapsulate()
	seen := map[string]bool{string(shared): true}
	for i := 0; i < len(ciphertext); i += 3 {
		changed := bytes.Clone(ciphertext)
		changed[i] ^= 1 << (i % 8)
		got, err := key.Decapsulate(changed)
		require.NoError(t, err)
		if i%24 == 0 {
			require.Equal(t, model(key.Encoded(), changed), got)
		}
		require.False(t, seen[string(got)], "byte %d", i)
		seen[string(got)] = true
	}
	// Another owner computes another key.
	other, err := sntrup761.GenerateKey().Decapsulate(ciphertext)
	require.NoError(t, err)
	require.False(t, seen[string(other)])
}

func TestSizesAreChecked(t *testing.T) {
	key := sntrup761.GenerateKey()
	for _, n := range []int{0, 1, sntrup761.CiphertextSize - 1, sntrup761.CiphertextSize + 1, 1 << 16} {
		_, err := key.Decapsulate(make([]byte, n))
		require.EqualError(t, err, "sntrup761: ciphertext of wrong size")
	}
	for _, n := range []int{0, sntrup761.EncapsulationKeySize - 1, sntrup761.EncapsulationKeySize + 1} {
		_, err := sntrup761.NewEncapsulationKey(make([]byte, n))
		require.EqualError(t, err, "sntrup761: encapsulation key of wrong size")
	}
}

// Strings that no encoder makes are keys too, and lead nowhere out of bounds.
func TestEveryStringIsAKey(t *testing.T) {
	for _, fill := range []byte{0x00, 0x7f, 0x80, 0xff} {
		public, err := sntrup761.NewEncapsulationKey(bytes.Repeat([]byte{fill}, sntrup761.EncapsulationKeySize))
		require.NoError(t, err)
		shared, ciphertext := public.Encapsulate()
		require.Len(t, shared, sntrup761.SharedKeySize)
		require.Len(t, ciphertext, sntrup761.CiphertextSize)
	}
}

func TestReturnedKeyIsACopy(t *testing.T) {
	key := sntrup761.GenerateKey()
	encoded := key.EncapsulationKey().Bytes()
	clear(encoded)
	require.NotEqual(t, encoded, key.EncapsulationKey().Bytes())
}

func TestFailedRandomnessPanics(t *testing.T) {
	require.Panics(t, func() { sntrup761.GenerateKeyFrom(bytes.NewReader(make([]byte, 100))) })
	require.Panics(t, func() { sntrup761.GenerateKeyFrom(io.LimitReader(rand.Reader, 0)) })
}

func TestDifferenceMask(t *testing.T) {
	require.Equal(t, int32(0), sntrup761.DifferenceMask([]byte{1, 2, 255}, []byte{1, 2, 255}))
	for x := 1; x < 256; x++ {
		require.Equal(t, int32(-1), sntrup761.DifferenceMask([]byte{0, 0}, []byte{0, byte(x)}))
	}
}
