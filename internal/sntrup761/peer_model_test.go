package sntrup761_test

import (
	"bytes"
	"crypto/sha512"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// The model is decapsulation as the text of the specification has it, with polynomials
// of plain integers, divisions and branches.
type integers [sntrup761.P]int

// centered is the number congruent to x in the middle of the residues of an odd n.
func centered(x, n int) int {
	x = (x%n + n) % n
	if x > n/2 {
		x -= n
	}
	return x
}

// times multiplies modulo x^p-x-1 and n.
func (a integers) times(b integers, n int) (c integers) {
	const p = sntrup761.P
	var product [2*p - 1]int
	for i, x := range a {
		if x == 0 {
			continue
		}
		for j, y := range b {
			product[i+j] += x * y
		}
	}
	for i := 2*p - 2; i >= p; i-- {
		product[i-p] += product[i]
		product[i-p+1] += product[i]
	}
	for i := range c {
		c[i] = centered(product[i], n)
	}
	return c
}

func half512(prefix byte, parts ...[]byte) []byte {
	sum := sha512.Sum512(append([]byte{prefix}, bytes.Join(parts, nil)...))
	return sum[:32]
}

// encode is Encode of NTRU Prime section 3.4.
func encode(digits, radices []int) (out []byte) {
	if len(digits) == 1 {
		for r, m := digits[0], radices[0]; m > 1; m = (m + 255) / 256 {
			out = append(out, byte(r))
			r /= 256
		}
		return out
	}
	var nextDigits, nextRadices []int
	for i := 0; i+1 < len(digits); i += 2 {
		r, m := digits[i]+radices[i]*digits[i+1], radices[i]*radices[i+1]
		for m >= 1<<14 {
			out = append(out, byte(r))
			r, m = r/256, (m+255)/256
		}
		nextDigits, nextRadices = append(nextDigits, r), append(nextRadices, m)
	}
	if len(digits)%2 != 0 {
		nextDigits, nextRadices = append(nextDigits, digits[len(digits)-1]), append(nextRadices, radices[len(radices)-1])
	}
	return append(out, encode(nextDigits, nextRadices)...)
}

// decode is Decode of NTRU Prime section 3.4.
func decode(in []byte, radices []int) (digits []int) {
	if len(radices) == 1 {
		r := 0
		for i, x := range in {
			r += int(x) << (8 * i)
		}
		return []int{r % radices[0]}
	}
	var bottoms, shifts, nextRadices []int
	for i := 0; i+1 < len(radices); i += 2 {
		r, t, m := 0, 1, radices[i]*radices[i+1]
		for m >= 1<<14 {
			r += int(in[0]) * t
			in, t, m = in[1:], t*256, (m+255)/256
		}
		bottoms, shifts, nextRadices = append(bottoms, r), append(shifts, t), append(nextRadices, m)
	}
	if len(radices)%2 != 0 {
		nextRadices = append(nextRadices, radices[len(radices)-1])
	}
	next := decode(in, nextRadices)
	for i := 0; i+1 < len(radices); i += 2 {
		r := bottoms[i/2] + shifts[i/2]*next[i/2]
		digits = append(digits, r%radices[i], r/radices[i]%radices[i+1])
	}
	if len(radices)%2 != 0 {
		digits = append(digits, next[len(next)-1])
	}
	return digits
}

func radices(radix int) []int {
	all := make([]int, sntrup761.P)
	for i := range all {
		all[i] = radix
	}
	return all
}

func decodeSmall(b []byte) (a integers) {
	for i := range a {
		a[i] = int(b[i/4]>>(i%4*2)&3) - 1
	}
	return a
}

func encodeSmall(a integers) []byte {
	b := make([]byte, 191)
	for i, x := range a {
		b[i/4] |= byte(x+1) << (i % 4 * 2)
	}
	return b
}

// model decapsulates with a private key in the format of the specification.
func model(private, ciphertext []byte) []byte {
	const q = sntrup761.Q
	f, inverse := decodeSmall(private[:191]), decodeSmall(private[191:382])
	public, rejection, keyHash := private[382:382+1158], private[1540:1540+191], private[1731:]

	var c integers
	for i, x := range decode(ciphertext[:1007], radices(sntrup761.Radix)) {
		c[i] = 3*x - sntrup761.Half
	}
	m := c.times(f, q)
	weight := 0
	for i := range m {
		m[i] = centered(centered(3*m[i], q), 3)
	}
	r := m.times(inverse, 3)
	for _, x := range r {
		weight += x * x
	}
	if weight != sntrup761.W {
		r = integers{}
		for i := range sntrup761.W {
			r[i] = 1
		}
	}
	var h integers
	for i, x := range decode(public, radices(q)) {
		h[i] = x - sntrup761.Half
	}
	rounded := make([]int, sntrup761.P)
	for i, x := range h.times(r, q) {
		rounded[i] = (x - centered(x, 3) + sntrup761.Half) / 3
	}
	again := append(encode(rounded, radices(sntrup761.Radix)), half512(2, half512(3, encodeSmall(r)), keyHash)...)
	if !bytes.Equal(again, ciphertext) {
		return half512(0, half512(3, rejection), ciphertext)
	}
	return half512(1, half512(3, encodeSmall(r)), ciphertext)
}
