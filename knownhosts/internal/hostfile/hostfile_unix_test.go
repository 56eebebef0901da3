//go:build unix

package hostfile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// H4: nobody waits for a FIFO's writer, neither to read nor to edit.
func TestFIFOsAreRefusedWithoutWaitingForAWriter(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.NoError(t, os.Symlink("fifo", link))
	for _, name := range []string{fifo, link} {
		require.ErrorContains(t, new(hostfile.Content).Read(hostfile.System, name), name+": not a regular file")
		_, err := hostfile.ReadFile(name)
		require.ErrorContains(t, err, name+": not a regular file")
		require.ErrorContains(t, hostfile.Edit(t.Context(), name, unchanged), name+": not a regular file")
	}
}
