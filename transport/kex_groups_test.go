package transport_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
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
	const guard = 64 // bits more than asked for, against what the divisions cut off
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
		p, g := transport.Group(name)
		require.Equal(t, rfc3526(group.bits, group.k).Text(16), p.Text(16), name)
		require.Equal(t, int64(2), g.Int64(), name)
	}
}

// x/crypto's server lacks some methods that OpenSSH has.
func TestKeyExchangesWithOpenSSH(t *testing.T) {
	names := []string{"diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512"}
	server := sshtest.OpenSSH(t, &sshtest.DaemonOptions{ // since 10.0 it has them on request only
		Config: []string{"KexAlgorithms +" + strings.Join(names, ",")},
	})
	for _, kex := range names {
		t.Run(kex, func(t *testing.T) {
			nc, err := server.DialContext(t.Context(), "tcp", server.Addr)
			require.NoError(t, err)
			c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(server.HostKeys...), KeyExchanges: []string{kex}})
			defer c.Close()
			require.NoError(t, c.Handshake(t.Context()))
			require.Equal(t, kex, c.State().KeyExchange)
		})
	}
}
