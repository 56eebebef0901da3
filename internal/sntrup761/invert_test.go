package sntrup761_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

func one() integers { return integers{1} }

func requireTripleInverse(t *testing.T, a sntrup761.Small) {
	t.Helper()
	inverse := sntrup761.InvertTriple(&a)
	triple := plainSmall(a)
	for i := range triple {
		triple[i] *= 3
	}
	require.Equal(t, one(), plainRq(inverse).times(triple, sntrup761.Q))
}

func TestInverseOfATriple(t *testing.T) {
	for range 20 {
		requireTripleInverse(t, sntrup761.RandomShort(rand.Reader))
		requireTripleInverse(t, sntrup761.RandomSmall(rand.Reader))
	}
}

// Monomials and dense polynomials take steps that are rare for random polynomials.
func TestInverseOfExtremes(t *testing.T) {
	for i := 0; i < sntrup761.P; i += 19 {
		var monomial, tail sntrup761.Small
		monomial[i] = -1
		for j := range tail[i:] {
			tail[i+j] = 1
		}
		requireTripleInverse(t, monomial)
		requireTripleInverse(t, tail)
	}
}
