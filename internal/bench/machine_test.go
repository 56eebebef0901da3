package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThisMachine(t *testing.T) {
	m := thisMachine(t.Context())
	require.NotEmpty(t, m.CPU)
	require.Positive(t, m.Cores)
	require.Contains(t, m.OpenSSH, "OpenSSH")
	require.Equal(t, "A <CPU>, 2 cores · Linux · go1.26 · OpenSSH_9.2p1 · 2026-01-02", someMachine.String())
}

func TestMatchFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("a: 1\nb: 2\n"), 0o600))
	require.Equal(t, "2", matchFile(file, `(?m)^b: (.)$`))
	require.Empty(t, matchFile(file, `(?m)^c: (.)$`))
	require.Empty(t, matchFile(file+"x", `(.)`))
}
