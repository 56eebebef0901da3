package transport_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport"
)

// RFC 4253 section 7.2: K1 = HASH(K || H || letter || session), and K2 = HASH(K || H
// || K1).
func TestKeysAreDerived(t *testing.T) {
	hash := func(s string) []byte {
		sum := sha256.Sum256([]byte("secrethash" + s))
		return sum[:]
	}
	first := hash("Asession")
	whole := append(first, hash(string(first))...)
	for n := range 65 {
		require.Equal(t, whole[:n], append([]byte{}, transport.Derive('A', n)...))
	}
	require.NotEqual(t, whole, transport.Derive('B', 64))
}
