package syntax_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestCutKeyword checks where a keyword ends.
func TestCutKeyword(t *testing.T) {
	for text, want := range map[string][2]string{
		"Port 7": {"Port", "7"}, "Port=7\n": {"Port", "7"}, " \tPort = 7 \t\r\n": {"Port", "7"}, "Port==7": {"Port", "=7"}, `"Port" 7`: {"Port", "7"}, `Po"rt" 7`: {"Port", "7"},
		"Port": {"Port", ""}, "Port\x007": {"Port", ""}, "Port 7\f": {"Port", "7"}, "=Port 7": {"Port", "7"}, "ProxyCommand a  b # c": {"ProxyCommand", "a  b # c"},
	} {
		keyword, rest, ok := syntax.CutKeyword(text)
		require.True(t, ok, text)
		require.Equal(t, want, [2]string{keyword, rest}, "%q", text)
	}
	for _, text := range []string{"", "\n", " ", "# c", "  # c", `"Port 7`, `Port"7`, "\x00Port 7", `""`} {
		_, _, ok := syntax.CutKeyword(text)
		require.False(t, ok, "%q", text)
	}
}

// TestSplitArgs checks quotes, escapes and comments.
func TestSplitArgs(t *testing.T) {
	for text, want := range map[string][]string{
		"a b\tc": {"a", "b", "c"}, `"a b" 'c d'`: {"a b", "c d"}, `a\ b \" \' \\ \x`: {"a b", `"`, "'", `\`, `\x`}, `"a\ b\"c"`: {`a\ b"c`}, `a" "b''c`: {"a bc"},
		"a#b #c d": {"a#b"}, `"#a" b`: {"#a", "b"}, `""`: {""}, "": nil, `'a"b'`: {`a"b`}, `a\`: {`a\`}, "a\rb": {"a\rb"},
	} {
		args, err := syntax.SplitArgs(text, true)
		require.NoError(t, err)
		require.Equal(t, want, args, "%q", text)
	}
	args, err := syntax.SplitArgs("a #b", false)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "#b"}, args)
	for _, text := range []string{`"a`, `'a"`, `a "b c`, `"a\"`} {
		_, err := syntax.SplitArgs(text, true)
		require.Error(t, err, text)
	}
}
