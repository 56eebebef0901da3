package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport"
)

// K17: no name with SHA-1, CBC, RC4, DSA or group 1 is ever offered. So the attacks of
// P5 on CBC have no target. P13 and P14: compression is not implemented.
func TestOldAlgorithmsAreNotOffered(t *testing.T) {
	m := offered(t, transport.Config{})
	all := [][]string{m.Kex, m.HostKey, m.CipherIn, m.CipherOut, m.MACIn, m.MACOut}
	for _, list := range all {
		require.NotEmpty(t, list)
		for _, name := range list {
			for _, old := range []string{"sha1", "cbc", "arcfour", "md5", "none", "dss", "group1-"} {
				require.NotContains(t, name, old)
			}
			require.NotEqual(t, "ssh-rsa", name)
		}
	}
	require.Equal(t, []string{"none"}, m.CompressionIn) // P14
	require.Equal(t, []string{"none"}, m.CompressionOut)
	require.False(t, m.FirstKexFollows)
	require.NotZero(t, m.Cookie)
	require.NotEqual(t, m.Cookie, offered(t, transport.Config{}).Cookie)
}
