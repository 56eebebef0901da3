package syntax_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

func TestValuesAreShownAsBySSH(t *testing.T) {
	require.Nil(t, syntax.Optional(""))
	require.Equal(t, []string{"x"}, syntax.Optional("x"))
	require.Equal(t, []string{"yes"}, syntax.YesNo(true))
	require.Equal(t, []string{"no"}, syntax.YesNo(false))
	require.Equal(t, []string{"22"}, syntax.Number(22))
	require.Equal(t, []string{"90"}, syntax.Seconds(90*time.Second+time.Millisecond))
	require.Equal(t, []string{"-1"}, syntax.Seconds(-1))
	require.Equal(t, []string{"none"}, syntax.SecondsOrNone(-1))
	require.Equal(t, []string{"0"}, syntax.SecondsOrNone(0))
	require.Equal(t, []string{""}, syntax.Commas(nil))
	require.Nil(t, syntax.OptionalCommas(nil))
	require.Equal(t, []string{"a,b"}, syntax.OptionalCommas([]string{"a", "b"}))
	require.Equal(t, []string{"none"}, syntax.BlanksOrNone(nil))
	require.Equal(t, []string{"a b"}, syntax.BlanksOrNone([]string{"a", "b"}))
}
