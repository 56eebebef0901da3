package sntrup761_test

import (
	"crypto/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

func TestWordsAreSorted(t *testing.T) {
	r := generator()
	for _, bits := range []uint{32, 8, 2, 1} {
		for range 50 {
			var words [sntrup761.P]uint32
			for i := range words {
				words[i] = r.Uint32() >> (32 - bits)
			}
			want := words
			slices.Sort(want[:])
			sntrup761.SortWords(&words)
			require.Equal(t, want, words)
		}
	}
}

// A network sorts everything if the network sorts all strings of zeros and ones
// (Knuth, section 5.3.4, theorem Z). A sample of each weight is drawn here.
func TestZerosAndOnesAreSorted(t *testing.T) {
	r := generator()
	for ones := range sntrup761.P + 1 {
		var words [sntrup761.P]uint32
		for i := range ones {
			words[i] = 1<<32 - 1
		}
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		sntrup761.SortWords(&words)
		require.True(t, slices.IsSorted(words[:]))
	}
}

func TestShortPolynomialsHaveTheirWeight(t *testing.T) {
	var signs, positions [sntrup761.P]int
	const n = 400
	for range n {
		a := sntrup761.RandomShort(rand.Reader)
		require.Zero(t, a.WeightMask())
		for i, x := range a {
			signs[i] += int(x)
			positions[i] += int(x & 1)
		}
	}
	// Each position is within eight standard deviations of its mean.
	for i := range positions {
		require.InDelta(t, n*sntrup761.W/sntrup761.P, positions[i], 80)
		require.InDelta(t, 0, signs[i], 100)
	}
}

func TestSmallPolynomialsHaveAllCoefficients(t *testing.T) {
	count := map[int8]int{}
	for range 100 {
		for _, x := range sntrup761.RandomSmall(rand.Reader) {
			count[x]++
		}
	}
	require.Len(t, count, 3)
	for x := int8(-1); x <= 1; x++ { // 130 is the standard deviation
		require.InDelta(t, 100*sntrup761.P/3, count[x], 1100)
	}
}
