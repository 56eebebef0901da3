//go:build unix

package knownhosts_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// H4
func TestFIFOsAreRefusedWithoutWaitingForAWriter(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.NoError(t, os.Symlink("fifo", link))
	for _, name := range []string{fifo, link} {
		_, err := knownhosts.Load(name)
		require.ErrorContains(t, err, name+": not a regular file")
	}

	// One that comes into being after Load is not written to either.
	late := filepath.Join(dir, "late")
	d := load(t, late)
	require.NoError(t, syscall.Mkfifo(late, 0o600))
	require.ErrorContains(t, d.Add("host:22", key("host")), "not a regular file")
	requireKind(t, knownhosts.Unknown, verify(t, d, "host:22", key("host")))
}
