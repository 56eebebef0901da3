package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestError checks file, line and keyword in an error, also with control characters.
func TestError(t *testing.T) {
	err := refuse(t, "\n\n  port x\n", "host")
	var place *sshconfig.Error
	require.ErrorAs(t, err, &place)
	require.Equal(t, [3]any{"config", 3, "Port"}, [3]any{place.File, place.Line, place.Keyword})
	require.EqualError(t, err, `sshconfig: config line 3: Port: "x" is not a port`)
	require.EqualError(t, refuse(t, "\x1b[2J 1", "host"), `sshconfig: config line 1: "\x1b[2J": the keyword is unknown`)
}
