package sntrup761

import (
	"encoding/binary"
	"io"
)

// randomWords reads p random words.
func randomWords(random io.Reader) (words [p]uint32) {
	var b [4 * p]byte
	read(random, b[:])
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}

// randomSmall draws coefficients from a distribution within 2^-30 of the uniform one,
// NTRU Prime section 4.
func randomSmall(random io.Reader) (a small) {
	for i, word := range randomWords(random) {
		a[i] = int8(uint64(word&(1<<30-1))*3>>30) - 1
	}
	return a
}

// randomShort draws a polynomial with w coefficients other than zero, NTRU Prime
// section 4: marks in the two lowest bits travel with random words that are sorted.
func randomShort(random io.Reader) (a small) {
	words := randomWords(random)
	for i := range words {
		if i < w { // a public index
			words[i] &^= 1 // 0 or 2, for -1 or 1
		} else {
			words[i] = words[i]&^3 | 1 // for 0
		}
	}
	sortWords(&words)
	for i, word := range words {
		a[i] = int8(word&3) - 1
	}
	return a
}

// sortWords sorts by Batcher's network of merge exchanges (Knuth, The Art of Computer
// Programming, section 5.2.2, algorithm M). The sequence of comparisons depends on
// the length alone.
func sortWords(words *[p]uint32) {
	const top = 512 // the largest power of two below p
	for step := top; step > 0; step /= 2 {
		q, remainder, distance := top, 0, step
		for {
			for i := range p - distance {
				if i&step == remainder { // public indices
					exchange(&words[i], &words[i+distance])
				}
			}
			if q == step {
				break
			}
			distance, q, remainder = q-step, q/2, step
		}
	}
}

// exchange puts the smaller word first.
func exchange(a, b *uint32) {
	greater := uint32((int64(*b) - int64(*a)) >> 63)
	swap := greater & (*a ^ *b)
	*a ^= swap
	*b ^= swap
}
