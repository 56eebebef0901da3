package hostfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// TestNamesMatchAsInSSHKeygen compares every name with every list of patterns.
func TestNamesMatchAsInSSHKeygen(t *testing.T) {
	names := []string{
		"host", "host.example", "a.host.example", "other", "10.0.0.1", "::1", "fe80::1%eth0", "hos",
		"[host]:2222", "[host.example]:2222", "[::1]:2222", "[10.0.0.1]:2222", "[other]:22000",
	}
	patterns := []string{
		"host", "HOST", "Host.Example", "host,other", "other,host", "host ,other", "host,,other", ",", "!host",
		"*", "?", "h?st", "h*t", "*host", "host*", "*.example", "*.*.example", "**", "h**t", "ho*s*t", "?*?",
		"*,!host", "!host,*", "!*.example,*", "*.example,!a.*", "!", "!,host", "!!host",
		"[host]:2222", "[HOST]:2222", "[host]:22", "[*]:2222", "[*]:*", "[host]:*", "*:2222", "[host]:????", "[host]",
		"host:2222", "!*:2222,*", "[*.example]:2222", "*]:2222",
		"10.0.0.1", "10.0.0.*", "10.*", "::1", "[::1]:2222", "[::1]", "*::1", "fe80::1%eth0", "fe80::1%ETH0", "fe80::*",
		"#host", "h#ost", "\"host\"", "\xffhost", "|1|", "|2|a|b", "host\x7f",
	}
	var lines []string
	for _, p := range patterns {
		lines = append(lines, p+" "+text(key("host")))
	}
	content := strings.Join(lines, "\n")
	file := write(t, content)
	c := parse(content)
	for _, name := range names {
		require.Equal(t, find(t, name, file), about(c, name), name)
	}
}

func TestPatternsOf1022BytesAreTaken(t *testing.T) {
	for length, skipped := range map[int]int{1022: 0, 1023: 1} {
		for _, prefix := range []string{"", "!", "other,"} {
			c := parse(prefix + strings.Repeat("h", length) + " " + text(key("host")))
			require.Len(t, c.Skipped, skipped, "%s and %d bytes", prefix, length)
		}
	}
}

// H3: no pattern takes more than len(pattern)*len(name) steps, or this test would
// not end.
func TestWildcardsTakeLinearTime(t *testing.T) {
	name := strings.Repeat("a", 64<<10)
	pattern := strings.Repeat("a*", 200) + "b"
	require.False(t, hostfile.MatchPattern(pattern, name))
	require.True(t, hostfile.MatchPattern(pattern, name+"b"))
	c := parse(pattern + " " + text(key("host")))
	require.Empty(t, c.Skipped)
	require.Empty(t, about(c, name))
	require.Equal(t, []int{1}, about(c, name+"b"))
}

func TestLowerFoldsASCIIAlone(t *testing.T) {
	for s, want := range map[string]string{"Host.EXAMPLE": "host.example", "": "", "host": "host", "\u212a\u00c4B": "\u212a\u00c4b"} {
		require.Equal(t, want, hostfile.Lower(s))
	}
}
