//go:build unix

package knownhosts_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// lock holds the lock of a file as another process would.
func lock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	return func() { f.Close() }
}
