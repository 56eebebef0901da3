package sntrup761_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// A product has three sums of P products of at most Half.
const largest = 3 * sntrup761.P * sntrup761.Half

func TestReductionsAreRight(t *testing.T) {
	for x := int32(-largest); x <= largest; x++ {
		if y := sntrup761.ReduceQ(x); y < -sntrup761.Half || y > sntrup761.Half || (x-int32(y))%sntrup761.Q != 0 {
			t.Fatal(x, y)
		}
		if y := sntrup761.Reduce3(x); y < -1 || y > 1 || (x-int32(y))%3 != 0 {
			t.Fatal(x, y)
		}
	}
}

func plainRq(a sntrup761.Rq) (n integers) {
	for i, x := range a {
		n[i] = int(x)
	}
	return n
}

func plainSmall(a sntrup761.Small) (n integers) {
	for i, x := range a {
		n[i] = int(x)
	}
	return n
}

func TestProductsAreThoseOfTheModel(t *testing.T) {
	r := generator()
	for range 20 {
		a, b, c := randomRq(r), sntrup761.RandomSmall(rand.Reader), sntrup761.RandomShort(rand.Reader)
		for _, factor := range []sntrup761.Small{b, c} {
			require.Equal(t, plainRq(a).times(plainSmall(factor), sntrup761.Q), plainRq(sntrup761.Multiply(&a, &factor)))
		}
		require.Equal(t, plainSmall(b).times(plainSmall(c), 3), plainSmall(sntrup761.Multiply3(&b, &c)))
	}
}

// The largest and the smallest sums fit.
func TestProductsOfExtremes(t *testing.T) {
	for _, x := range []int16{-sntrup761.Half, sntrup761.Half} {
		for _, y := range []int8{-1, 1} {
			var a sntrup761.Rq
			var b sntrup761.Small
			for i := range a {
				a[i], b[i] = x, y
			}
			require.Equal(t, plainRq(a).times(plainSmall(b), sntrup761.Q), plainRq(sntrup761.Multiply(&a, &b)))
		}
	}
}

func TestRoundingGoesToTheNearestMultiple(t *testing.T) {
	r := generator()
	a := randomRq(r)
	b := a
	b.Round()
	for i := range a {
		require.Zero(t, b[i]%3)
		require.LessOrEqual(t, max(a[i]-b[i], b[i]-a[i]), int16(1))
	}
}

func TestWeightMask(t *testing.T) {
	for weight := range sntrup761.P + 1 {
		var a sntrup761.Small
		for i := range weight {
			a[i] = int8(1 - i%2*2)
		}
		require.Equal(t, weight == sntrup761.W, a.WeightMask() == 0)
		require.Contains(t, []int32{0, -1}, a.WeightMask())
	}
}
