package sntrup761_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// generator has the same sequence in every run.
func generator() *rand.Rand { return rand.New(rand.NewPCG(761, 4591)) }

func randomRq(r *rand.Rand) (a sntrup761.Rq) {
	for i := range a {
		a[i] = int16(r.IntN(sntrup761.Q) - sntrup761.Half)
	}
	return a
}

func TestEncodingIsReversible(t *testing.T) {
	r := generator()
	for range 100 {
		a := randomRq(r)
		require.Equal(t, a, sntrup761.ParseRq(sntrup761.AppendRq(nil, &a)))
		a.Round()
		require.Equal(t, a, sntrup761.ParseRounded(sntrup761.AppendRounded(nil, &a)))
	}
	for _, x := range []int16{-sntrup761.Half, 0, sntrup761.Half} {
		var a sntrup761.Rq
		for i := range a {
			a[i] = x
		}
		require.Equal(t, a, sntrup761.ParseRq(sntrup761.AppendRq(nil, &a)))
		a.Round()
		require.Equal(t, a, sntrup761.ParseRounded(sntrup761.AppendRounded(nil, &a)))
	}
}

// The digits are those of the specification's Encode and Decode, also for strings that
// Encode does not make.
func TestEncodingIsThatOfTheSpecification(t *testing.T) {
	r := generator()
	for _, radix := range []int{sntrup761.Q, sntrup761.Radix} {
		for range 20 {
			var digits [sntrup761.P]uint32
			plain := make([]int, sntrup761.P)
			for i := range digits {
				plain[i] = r.IntN(radix)
				digits[i] = uint32(plain[i])
			}
			encoded := encode(plain, radices(radix))
			require.Equal(t, encoded, sntrup761.AppendDigits(nil, &digits, uint32(radix)))
			for i := range encoded {
				encoded[i] = byte(r.Uint32())
			}
			wild := sntrup761.ParseDigits(encoded, uint32(radix))
			for i, want := range decode(encoded, radices(radix)) {
				require.Equal(t, uint32(want), wild[i], "digit %d", i)
				require.Less(t, wild[i], uint32(radix))
			}
		}
	}
}
