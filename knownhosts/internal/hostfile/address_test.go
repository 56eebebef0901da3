package hostfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// H3: several ways to write an address lead to a single name.
func TestParseAddress(t *testing.T) {
	for addr, want := range map[string]hostfile.Address{
		"HOST.example:22":      {Host: "host.example", Name: "host.example"},
		"host.example.:22":     {Host: "host.example", Name: "host.example"},
		"host:0022":            {Host: "host", Name: "host"},
		"host:2222":            {Host: "host", Name: "[host]:2222"},
		"host:0":               {Host: "host", Name: "[host]:0"},
		"192.0.2.1:22":         {Host: "192.0.2.1", Name: "192.0.2.1"},
		"[0:0:0:0:0:0:0:1]:22": {Host: "::1", Name: "::1"},
		"[2001:db8:0::A]:2222": {Host: "2001:db8::a", Name: "[2001:db8::a]:2222"},
		"[FE80::1%ETH0]:22":    {Host: "fe80::1%eth0", Name: "fe80::1%eth0"},
		"\u212aost:22":         {Host: "\u212aost", Name: "\u212aost"},
		"host..:22":            {Host: "host.", Name: "host."},
	} {
		got, err := hostfile.ParseAddress(addr)
		require.NoError(t, err, addr)
		require.Equal(t, want, got, addr)
	}
	for _, addr := range []string{"", "host", ":22", ".:22", "host:", "host:ssh", "host:-1", "host:65536", "::1:22", "[::1]", "a:b:22"} {
		_, err := hostfile.ParseAddress(addr)
		require.ErrorContains(t, err, "address ", addr)
	}
}
