package syntax_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestAssemble checks the modifiers of a list.
func TestAssemble(t *testing.T) {
	preferred, all := []string{"b", "a"}, []string{"a", "b", "c", "d"}
	for text, want := range map[string][]string{"c": {"c"}, "+c": {"b", "a", "c"}, "^c,a": {"c", "a", "b"}, "-b": {"a"}, "*": {"a", "b", "c", "d"}, "-*": {}, "c,x": {"c"}, "c,,d": {"c", "d"}} {
		got, err := syntax.Assemble(text, preferred, all)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, bad := range []string{"x", "!a", "a,!b", ","} {
		_, err := syntax.Assemble(bad, preferred, all)
		require.Error(t, err, bad)
	}
	require.Equal(t, []string{"b", "a"}, preferred)
	for name, list := range syntax.Defaults {
		require.Subset(t, syntax.Supported[name], list)
	}
}
