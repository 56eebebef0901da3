package syntax_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestExpand checks tokens and variables, whose values are never expanded again.
func TestExpand(t *testing.T) {
	t.Setenv("SYNTAX_TEST", "%h${SYNTAX_TEST}")
	tokens := map[byte]string{'h': "%n${HOME}", 'n': "never"}
	text, ok, err := syntax.Expand("a %h %% $x ${SYNTAX_TEST}", tokens, os.LookupEnv)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "a %n${HOME} % $x %h${SYNTAX_TEST}", text)
	text, _, err = syntax.Expand("${X} %h", tokens, nil)
	require.NoError(t, err)
	require.Equal(t, "${X} %n${HOME}", text)
	text, _, err = syntax.Expand("%z %", nil, os.LookupEnv)
	require.NoError(t, err)
	require.Equal(t, "%z %", text)
	_, ok, err = syntax.Expand("${SYNTAX_TEST_NOT_SET}", nil, os.LookupEnv)
	require.NoError(t, err)
	require.False(t, ok)
	for _, bad := range []string{"%", "%z", "${", "${}", "a${x"} {
		_, _, err := syntax.Expand(bad, tokens, os.LookupEnv)
		require.Error(t, err, bad)
	}
}
