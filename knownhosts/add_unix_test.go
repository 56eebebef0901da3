//go:build unix

package knownhosts_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// H4: Add writes nothing to a FIFO, even if the FIFO is younger than the DB.
func TestAddRefusesFIFOs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "late")
	d := load(t, name)
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	require.ErrorContains(t, d.Add("host:22", key("host")), "not a regular file")
	requireKind(t, knownhosts.Unknown, verify(t, d, "host:22", key("host")))
	_, err := knownhosts.Load(name)
	require.ErrorContains(t, err, "knownhosts: open "+name+": not a regular file")
}
