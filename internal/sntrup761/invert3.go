package sntrup761

// trits holds p+1 coefficients modulo 3, 64 to a word: a bit in plus for 1, a bit in
// minus for -1.
type trits struct{ plus, minus [tritWords]uint64 }

const tritWords = (p + 64) / 64

func (a *trits) set(i int, x int8) {
	a.plus[i/64] |= uint64(x&1&^(x>>7)) << (i % 64)
	a.minus[i/64] |= uint64(x>>7&1) << (i % 64)
}

func (a *trits) get(i int) int8 {
	return int8(a.plus[i/64]>>(i%64)&1) - int8(a.minus[i/64]>>(i%64)&1)
}

// invert3 returns 1/a modulo 3, if a is invertible.
func invert3(a *small) (inverse small, ok bool) {
	var f, g, v, r trits
	f.set(0, 1)
	f.set(p-1, -1)
	f.set(p, -1)
	for i, x := range a {
		g.set(p-1-i, x)
	}
	r.set(0, 1)
	delta := int32(1)
	for range divisionSteps {
		v.timesX()
		swap := swapMask(delta, int32(g.get(0)))
		delta = stepDelta(delta, swap)
		f.exchange(&g, uint64(int64(swap)))
		v.exchange(&r, uint64(int64(swap)))
		f0, g0 := f.get(0), g.get(0)
		g.combine(f0, g0, &f)
		r.combine(f0, g0, &v)
		g.overX()
	}
	sign := f.get(0)
	for i := range inverse {
		inverse[i] = sign * v.get(p-1-i)
	}
	return inverse, delta == 0
}

// exchange swaps a and b if the mask is all bits.
func (a *trits) exchange(b *trits, mask uint64) {
	for i := range a.plus {
		plus, minus := mask&(a.plus[i]^b.plus[i]), mask&(a.minus[i]^b.minus[i])
		a.plus[i] ^= plus
		b.plus[i] ^= plus
		a.minus[i] ^= minus
		b.minus[i] ^= minus
	}
}

// combine replaces a by f0*a - a0*f.
func (a *trits) combine(f0, a0 int8, f *trits) {
	f0Plus, f0Minus := masks(f0)
	a0Plus, a0Minus := masks(-a0)
	for i := range a.plus {
		xPlus := a.plus[i]&f0Plus | a.minus[i]&f0Minus
		xMinus := a.minus[i]&f0Plus | a.plus[i]&f0Minus
		yPlus := f.plus[i]&a0Plus | f.minus[i]&a0Minus
		yMinus := f.minus[i]&a0Plus | f.plus[i]&a0Minus
		x, y := xPlus|xMinus, yPlus|yMinus
		a.plus[i] = xPlus&^y | yPlus&^x | xMinus&yMinus
		a.minus[i] = xMinus&^y | yMinus&^x | xPlus&yPlus
	}
}

// masks are all bits for 1, and all bits for -1.
func masks(x int8) (plus, minus uint64) {
	return -uint64(x & 1 &^ (x >> 7)), -uint64(x >> 7 & 1)
}

// timesX multiplies by x.
func (a *trits) timesX() {
	for i := tritWords - 1; i > 0; i-- {
		a.plus[i] = a.plus[i]<<1 | a.plus[i-1]>>63
		a.minus[i] = a.minus[i]<<1 | a.minus[i-1]>>63
	}
	a.plus[0] <<= 1
	a.minus[0] <<= 1
}

// overX divides by x. The constant coefficient is zero.
func (a *trits) overX() {
	for i := range tritWords - 1 {
		a.plus[i] = a.plus[i]>>1 | a.plus[i+1]<<63
		a.minus[i] = a.minus[i]>>1 | a.minus[i+1]<<63
	}
	a.plus[tritWords-1] >>= 1
	a.minus[tritWords-1] >>= 1
}
