package sntrup761

// Inversion follows Bernstein and Yang, "Fast constant-time gcd computation and modular
// inversion" (2019), section 6: 2p-1 division steps on two polynomials with reversed
// coefficients, f that begins as the modulus and g that begins as the polynomial to
// invert. A step swaps f and g when g has the higher degree left and a constant
// coefficient other than zero. Then the step makes the constant coefficient of g zero
// by a multiple of f, and divides g by x. v and r count how often f and g contain the
// polynomial to invert.
const divisionSteps = 2*p - 1

// swapMask is all bits when a step has to swap. delta compares the degrees, and
// constant is the constant coefficient of g.
func swapMask(delta, constant int32) int32 {
	return (-delta >> 31) & ((constant | -constant) >> 31)
}

// stepDelta is delta after a step.
func stepDelta(delta, swap int32) int32 { return delta ^ swap&(delta^-delta) + 1 }

// lanes holds p+1 coefficients modulo q, two to a word, each below 2^13 and not reduced
// further.
type lanes [pairs]uint64

func (a *lanes) set(i int, x int32) { a[i/2] |= uint64(x) << (i % 2 * 32) }

func (a *lanes) get(i int) int32 { return int32(a[i/2] >> (i % 2 * 32)) }

// invertTriple returns 1/(3a) modulo q for an a other than zero. The modulus x^p-x-1 is
// irreducible modulo q.
func invertTriple(a *small) (inverse rq) {
	var f, g, v, r lanes
	f.set(0, 1)
	f.set(p-1, q-1)
	f.set(p, q-1)
	for i, x := range a {
		g.set(p-1-i, positive(int32(x)))
	}
	r.set(0, 1)
	delta := int32(1)
	for i := range divisionSteps {
		f0, g0 := positive(f.get(0)), positive(g.get(0))
		swap := swapMask(delta, g0)
		delta = stepDelta(delta, swap)
		change := swap & (f0 ^ g0)
		s := step{uint64(int64(swap)), uint64(f0 ^ change), uint64(q - (g0 ^ change))}
		// The steps left need this many coefficients of f and g, and the steps made
		// have reached this many of v and r.
		left, reached := divisionSteps-i, i+1
		s.divide(f[:min(pairs, (left+1)/2)], g[:])
		s.multiply(v[:min(pairs, (reached+1)/2)], r[:])
	}
	scale := int32(reciprocal(reduceQ(3 * f.get(0))))
	for i := range inverse {
		inverse[i] = reduceQ(scale * int32(reduceQ(v.get(p-1-i))))
	}
	return inverse
}

// positive returns the number from 0 to q-1 congruent to x, for x of up to 24 bits.
func positive(x int32) int32 {
	y := int32(reduceQ(x))
	return y + q&(y>>31)
}

// reciprocal returns 1/x modulo q by Fermat's theorem, whose exponent is public.
func reciprocal(x int16) int16 {
	y := int16(1)
	for bit := 1 << 12; bit > 0; bit >>= 1 {
		y = reduceQ(int32(y) * int32(y))
		if (q-2)&bit != 0 {
			y = reduceQ(int32(y) * int32(x))
		}
	}
	return y
}

// step is a division step modulo q: swap is a mask, f0 and g0 are the constant
// coefficients after the swap, with the sign of g0 changed.
type step struct{ swap, f0, g0 uint64 }

// divide does the step on f and g.
func (s step) divide(f, g []uint64) {
	g = g[:len(f)]
	var before uint64
	for i, x := range f {
		change := s.swap & (x ^ g[i])
		f[i] = x ^ change
		y := s.combine(x^change, g[i]^change)
		if i > 0 {
			g[i-1] = before>>32 | y<<32
		}
		before = y
	}
	g[len(g)-1] = before >> 32
}

// multiply does the step on v and r. Multiplying v by x stands for dividing r by x.
func (s step) multiply(v, r []uint64) {
	r = r[:len(v)]
	var before uint64
	for i, word := range v {
		x := word<<32 | before>>32
		before = word
		change := s.swap & (x ^ r[i])
		v[i] = x ^ change
		r[i] = s.combine(x^change, r[i]^change)
	}
}

// combine returns the difference of g0 times x and f0 times y in both lanes, divided by
// 2^16 modulo q (Montgomery's reduction). All factors 2^-16 of a run are the same in f
// and v, and cancel out. A sum is below 2q*2^13 + q*2^16 < 2^29, a result below 2^13.
func (s step) combine(x, y uint64) uint64 {
	const (
		lowHalves  = 0x0000ffff_0000ffff
		montgomery = 49905 // -1/q modulo 2^16
	)
	sum := s.f0*y + s.g0*x
	return (sum + (sum&lowHalves*montgomery&lowHalves)*q) >> 16
}
