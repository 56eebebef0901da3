package syntax_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestAddresses checks the forms of addresses for C's getaddrinfo.
func TestAddresses(t *testing.T) {
	for name, want := range map[string]string{"1.2.3.4": "1.2.3.4", "127.1": "127.0.0.1", "0x7f.1": "127.0.0.1", "1": "0.0.0.1", "010.1.1.1": "8.1.1.1", "4294967295": "255.255.255.255",
		"::0001": "::1", "FE80::1": "fe80::1", "1.2.770": "1.2.3.2"} {
		canonical, ok := syntax.ParseAddress(name, "any")
		require.True(t, ok, name)
		require.Equal(t, want, canonical, name)
	}
	for _, name := range []string{"1.2.3.256", "1.2.3.4.5", "4294967296", "a:b", "fe80::x%y", "256.1", "08.1.1.1", "1.", ""} {
		canonical, ok := syntax.ParseAddress(name, "any")
		require.True(t, ok, "%q is an address or none, but no name", name)
		require.Empty(t, canonical, name)
	}
	for _, name := range []string{"host", "1.2.3.4x", "0b1.1", "0o7", "1_0", "x1"} {
		_, ok := syntax.ParseAddress(name, "any")
		require.False(t, ok, name)
	}
	canonical, _ := syntax.ParseAddress("::1", "inet")
	require.Empty(t, canonical)
	canonical, _ = syntax.ParseAddress("1.2.3.4", "inet6")
	require.Empty(t, canonical)
}
