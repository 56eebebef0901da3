//go:build unix

package identity_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth/identity"
)

// A19: others can read the private key.
func TestPrivateKeysThatOthersCanReadAreRefused(t *testing.T) {
	file := keygen(t, t.TempDir(), "key", "")
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o640: true, 0o604: true, 0o610: true, 0o602: true} {
		require.NoError(t, os.Chmod(file, mode))
		_, err := identity.Load(t.Context(), file, nil)
		require.Equal(t, refused, err != nil, "%#o", mode)
		if refused {
			var e *identity.PermissionError
			require.ErrorAs(t, err, &e)
			require.Equal(t, identity.PermissionError{File: file, Mode: mode}, *e)
			require.ErrorContains(t, err, "chmod 600")
		}
		_, err = identity.Load(t.Context(), file, &identity.Options{InsecurePermissions: true})
		require.NoError(t, err)
	}
	// Public keys are for everybody, and an fs.FS has no owners.
	require.NoError(t, os.Chmod(file+".pub", 0o644))
	load(t, file+".pub", nil)
	require.NoError(t, os.Chmod(file, 0o644))
	_, err := identity.Load(t.Context(), "key", &identity.Options{FS: os.DirFS(filepath.Dir(file))})
	require.ErrorAs(t, err, new(*identity.PermissionError))
}

// A18: files that are no regular files.
func TestFIFOsAndDirectoriesAreRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, name := range []string{fifo, dir} {
		_, err := identity.Load(t.Context(), name, nil)
		require.ErrorContains(t, err, name+": the file is not a regular file")
	}
}
