package sntrup761

// appendSmall encodes four coefficients to a byte, NTRU Prime section 3.4.
func appendSmall(b []byte, a *small) []byte {
	for i := 0; i < p; i += 4 {
		var x byte
		for j, coefficient := range a[i:min(i+4, p)] {
			x |= byte(coefficient+1) << (2 * j)
		}
		b = append(b, x)
	}
	return b
}

// appendRq encodes a polynomial modulo q.
func appendRq(b []byte, a *rq) []byte {
	var digits [p]uint32
	for i, x := range a {
		digits[i] = uint32(int32(x) + half)
	}
	return appendDigits(b, &digits, q)
}

// parseRq decodes a polynomial modulo q.
func parseRq(b []byte) (a rq) {
	for i, digit := range parseDigits(b, q) {
		a[i] = int16(digit) - half
	}
	return a
}

// roundedRadix is the number of coefficients of a rounded polynomial.
const roundedRadix = (q + 2) / 3

// appendRounded encodes a polynomial whose coefficients are multiples of 3.
func appendRounded(b []byte, a *rq) []byte {
	const third = 1<<16/3 + 1 // divides what is below q without error
	var digits [p]uint32
	for i, x := range a {
		digits[i] = uint32(int32(x)+half) * third >> 16
	}
	return appendDigits(b, &digits, roundedRadix)
}

// parseRounded decodes a polynomial whose coefficients are multiples of 3.
func parseRounded(b []byte) (a rq) {
	for i, digit := range parseDigits(b, roundedRadix) {
		a[i] = int16(3*digit) - half
	}
	return a
}

// limit bounds the radices of the encoding: a pair of digits whose radix reaches limit
// gives bytes away.
const limit = 1 << 14

// level is a state of the encoding of NTRU Prime section 3.4: n digits, the last with a
// radix of its own. Two digits make one digit of the next level, until one digit is
// left. All of a level is public.
type level struct {
	n           int
	radix, last uint32
}

// pair tells the radix of digits 2i and 2i+1 together, once they have given bytes away.
func (l level) pair(i int) (radix uint32, bytes int) {
	radix = l.radix * l.second(i)
	for ; radix >= limit; bytes++ {
		radix = (radix + 255) / 256
	}
	return radix, bytes
}

// second is the radix of digit 2i+1.
func (l level) second(i int) uint32 {
	if 2*i+2 == l.n {
		return l.last
	}
	return l.radix
}

func (l level) next() level {
	next := level{n: (l.n + 1) / 2, last: l.last}
	next.radix, _ = l.pair(0)
	if l.n%2 == 0 {
		next.last, _ = l.pair(l.n/2 - 1)
	}
	return next
}

// appendDigits encodes p digits below radix, and overwrites them.
func appendDigits(b []byte, digits *[p]uint32, radix uint32) []byte {
	l := level{p, radix, radix}
	for ; l.n > 1; l = l.next() {
		for i := range l.n / 2 {
			digit := digits[2*i] + l.radix*digits[2*i+1]
			_, bytes := l.pair(i)
			for range bytes {
				b = append(b, byte(digit))
				digit >>= 8
			}
			digits[i] = digit
		}
		if l.n%2 != 0 {
			digits[l.n/2] = digits[l.n-1]
		}
	}
	for rest := l.last; rest > 1; rest = (rest + 255) / 256 {
		b = append(b, byte(digits[0]))
		digits[0] >>= 8
	}
	return b
}

// parseDigits is the opposite of appendDigits, for a public string of the right size.
// Digits that are too large wrap around.
func parseDigits(b []byte, radix uint32) (digits [p]uint32) {
	level{p, radix, radix}.parse(b, &digits)
	return digits
}

// parse reads the digits of the next level from behind the bytes of this level, and
// takes them apart in place, the last first.
func (l level) parse(b []byte, digits *[p]uint32) {
	if l.n == 1 {
		digits[0] = littleEndian(0, b) % l.last
		return
	}
	end := 0
	for i := range l.n / 2 {
		_, bytes := l.pair(i)
		end += bytes
	}
	l.next().parse(b[end:], digits)
	if l.n%2 != 0 {
		digits[l.n-1] = digits[l.n/2]
	}
	for i := l.n/2 - 1; i >= 0; i-- {
		_, bytes := l.pair(i)
		digit := littleEndian(digits[i], b[end-bytes:end])
		end -= bytes
		digits[2*i] = digit % l.radix
		digits[2*i+1] = digit / l.radix % l.second(i)
	}
}

// littleEndian is the number whose low bytes are b, below high.
func littleEndian(high uint32, b []byte) uint32 {
	for i := len(b) - 1; i >= 0; i-- {
		high = high<<8 | uint32(b[i])
	}
	return high
}
