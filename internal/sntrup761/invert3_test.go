package sntrup761_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

func TestInverseModulo3(t *testing.T) {
	for n := 0; n < 20; {
		a := sntrup761.RandomSmall(rand.Reader)
		inverse, ok := sntrup761.Invert3(&a)
		if !ok {
			continue
		}
		n++
		require.Equal(t, one(), plainSmall(inverse).times(plainSmall(a), 3))
	}
}

// Modulo 3, the modulus has a factor of degree 19. No multiple of the factor has an
// inverse, and neither has zero.
func TestNoInverseModulo3(t *testing.T) {
	factor := sntrup761.Small{1, 1, 0, 1, 1, 1, -1, 1, -1, 1, 0, 1, -1, -1, -1, -1, 1, 0, -1, -1}
	for range 20 {
		a := sntrup761.RandomSmall(rand.Reader)
		a = sntrup761.Multiply3(&a, &factor)
		_, ok := sntrup761.Invert3(&a)
		require.False(t, ok)
	}
	_, ok := sntrup761.Invert3(new(sntrup761.Small))
	require.False(t, ok)
}

func TestMonomialsHaveInversesModulo3(t *testing.T) {
	for i := 0; i < sntrup761.P; i += 19 {
		for _, x := range []int8{-1, 1} {
			var a sntrup761.Small
			a[i] = x
			inverse, ok := sntrup761.Invert3(&a)
			require.True(t, ok)
			product := sntrup761.Multiply3(&a, &inverse)
			require.Equal(t, sntrup761.Small{1}, product)
		}
	}
}
