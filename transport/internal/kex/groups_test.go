package kex_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

// rfc3526 computes the prime of n bits by the formula of RFC 3526:
// 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + k).
func rfc3526(n uint, k int64) *big.Int {
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, n)
	p.Sub(p, new(big.Int).Lsh(one, n-64))
	p.Sub(p, one)
	middle := scaledPi(n - 130)
	middle.Add(middle, big.NewInt(k))
	return p.Add(p, middle.Lsh(middle, 64))
}

// scaledPi returns floor(2^bits * pi) by Machin's formula:
// pi = 16 arctan(1/5) - 4 arctan(1/239).
func scaledPi(bits uint) *big.Int {
	const guard = 64 // more bits, against the remainders of the divisions
	arctan := func(x int64) *big.Int {
		term := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), bits+guard), big.NewInt(x))
		sum, square := new(big.Int), big.NewInt(x*x)
		for n := int64(1); term.Sign() != 0; n += 2 {
			part := new(big.Int).Div(term, big.NewInt(n))
			if n%4 == 3 {
				part.Neg(part)
			}
			sum.Add(sum, part)
			term.Div(term, square)
		}
		return sum
	}
	pi := arctan(5)
	pi.Lsh(pi, 4)
	pi.Sub(pi, new(big.Int).Lsh(arctan(239), 2))
	return pi.Rsh(pi, guard)
}

func TestGroupsOfRFC3526(t *testing.T) {
	for name, group := range map[string]struct {
		bits uint
		k    int64
	}{"group14": {2048, 124476}, "group16": {4096, 240904}, "group18": {8192, 4743158}} {
		p, g := kex.Group(name)
		require.Equal(t, rfc3526(group.bits, group.k).Text(16), p.Text(16), name)
		require.Equal(t, int64(2), g.Int64(), name)
	}
}
