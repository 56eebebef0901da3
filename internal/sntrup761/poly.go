package sntrup761

// rq is a polynomial modulo q with coefficients from -(q-1)/2 to (q-1)/2, the lowest
// degree first.
type rq [p]int16

// small is a polynomial with coefficients -1, 0 and 1.
type small [p]int8

const (
	half = (q - 1) / 2 // the largest coefficient of an rq
	// Reciprocals for divisions by multiplication. 40 bits of fraction make each
	// quotient of a 24-bit number exact.
	fraction   = 40
	qInverse40 = (1<<fraction + q/2) / q
	inverse340 = (1<<fraction + 1) / 3
)

// reduceQ returns the coefficient of an rq congruent to x, for x of up to 24 bits.
func reduceQ(x int32) int16 {
	return int16(x - q*int32((int64(x)*qInverse40+1<<(fraction-1))>>fraction))
}

// reduce3 returns -1, 0 or 1, congruent to x modulo 3, for x of up to 24 bits.
func reduce3(x int32) int8 {
	return int8(x - 3*int32((int64(x)*inverse340+1<<(fraction-1))>>fraction))
}

// triple multiplies a by 3.
func (a *rq) triple() {
	for i, x := range a {
		a[i] = reduceQ(3 * int32(x))
	}
}

// round replaces each coefficient by the nearest multiple of 3.
func (a *rq) round() {
	for i, x := range a {
		a[i] = x - int16(reduce3(int32(x)))
	}
}

// modulo3 reduces each coefficient modulo 3.
func (a *rq) modulo3() (s small) {
	for i, x := range a {
		s[i] = reduce3(int32(x))
	}
	return s
}

// weightMask is 0 when a has w coefficients other than zero, else all bits.
func (a *small) weightMask() int32 {
	weight := int32(0)
	for _, x := range a {
		weight += int32(x & 1)
	}
	weight -= w
	return (weight | -weight) >> 31
}

// multiply returns a*b modulo q.
func multiply(a *rq, b *small) (c rq) {
	product := multiplyIntegers(a, b)
	for i := range c {
		c[i] = reduceQ(product[i])
	}
	return c
}

// multiply3 returns a*b modulo 3.
func multiply3(a, b *small) (c small) {
	var wide rq
	for i, x := range a {
		wide[i] = int16(x)
	}
	product := multiplyIntegers(&wide, b)
	for i := range c {
		c[i] = reduce3(product[i])
	}
	return c
}

// pairs is the number of words for p coefficients, two to a word.
const pairs = (p + 1) / 2

// multiplyIntegers returns a*b modulo x^p-x-1 over the integers. No coefficient has
// more than 24 bits: three sums of p products of at most half.
//
// A word holds two coefficients as x + y<<32, an integer with borrows. Its product
// with a small coefficient is two products at once. Words whose pairs begin at even
// and at odd degrees spare shifting.
func multiplyIntegers(a *rq, b *small) (c [p]int32) {
	var even, odd [pairs]int64
	for i, x := range a {
		even[i/2] += int64(x) << (i % 2 * 32)
		odd[(i+1)/2] += int64(x) << ((i + 1) % 2 * 32)
	}
	var sums [2 * pairs]int64
	for i := 0; i < pairs; i++ {
		low, high := int64(b[2*i]), int64(0)
		if 2*i+1 < p {
			high = int64(b[2*i+1])
		}
		sum := (*[pairs]int64)(sums[i : i+pairs])
		for j := range sum {
			sum[j] += low*even[j] + high*odd[j]
		}
	}
	var wide [4 * pairs]int32
	for i, sum := range sums {
		low := int32(sum)
		wide[2*i] = low
		wide[2*i+1] = int32((sum - int64(low)) >> 32)
	}
	// x^p = x+1.
	for i := 2*p - 2; i >= p; i-- {
		wide[i-p] += wide[i]
		wide[i-p+1] += wide[i]
	}
	copy(c[:], wide[:])
	return c
}
