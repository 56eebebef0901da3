package syntax_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestPatterns checks wildcards and lists.
func TestPatterns(t *testing.T) {
	for _, match := range [][2]string{{"", ""}, {"a", "a"}, {"a", "?"}, {"abc", "a*"}, {"abc", "*c"}, {"abc", "a*b*c"}, {"", "*"}, {"abc", "***"}, {"aXbXc", "a?b*c"}, {"\xff", "?"}} {
		require.True(t, syntax.MatchPattern(match[0], match[1]), match)
	}
	for _, differ := range [][2]string{{"a", ""}, {"", "?"}, {"a", "A"}, {"abc", "a*d"}, {"ab", "a"}, {"a", "ab"}} {
		require.False(t, syntax.MatchPattern(differ[0], differ[1]), differ)
	}
	for list, want := range map[string]int{"a": 1, "b,a": 1, "!a": -1, "*,!a": -1, "!a,*": -1, "!b": 0, "": 0, "b": 0, "!b,*": 1, strings.Repeat("*", 1023): 0, "a,": 1} {
		require.Equal(t, want, syntax.MatchList("a", list), list)
	}
	require.True(t, syntax.MatchHost("WEB", "x,wEb"))
	require.Equal(t, "aé\xff", syntax.Lower("Aé\xff"))
}

// TestPatternTime gives a pattern with exponential time for a careless matcher.
func TestPatternTime(t *testing.T) {
	require.False(t, syntax.MatchPattern(strings.Repeat("a", 10_000), strings.Repeat("a*", 500)+"b"))
}

// TestNetworks checks lists of networks.
func TestNetworks(t *testing.T) {
	networks, err := syntax.ParseNetworks("192.0.2.0/24,2001:db8::1,0.0.0.0/0")
	require.NoError(t, err)
	require.Len(t, networks, 3)
	require.Equal(t, "2001:db8::1/128", networks[1].String())
	for _, bad := range []string{"", ",", "x", "1.2.3.4/8", "1.2.3.4/33", "fe80::1%eth0", "1.2.3.0/24,"} {
		_, err := syntax.ParseNetworks(bad)
		require.Error(t, err, bad)
	}
}
