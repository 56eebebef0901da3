package system_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// TestGlob finds the same files on the machine and in an fs.FS.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	tree := make(fstest.MapFS)
	for _, name := range []string{"a", "b", ".h", "[z", "d/x"} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		tree[file[1:]] = &fstest.MapFile{}
	}
	for pattern, want := range map[string][]string{"?": {"a", "b", "d"}, "*": {"[z", "a", "b", "d"}, ".*": {".h"}, "[!a]": {"b", "d"}, "[^a]": {"a"}, "[z": {"[z"}, "*/x": {"d/x"}, "n*": nil} {
		var names []string
		for _, name := range want {
			names = append(names, filepath.Join(dir, name))
		}
		require.Equal(t, names, append([]string(nil), system.Glob(nil, filepath.Join(dir, pattern))...), pattern)
		require.Equal(t, names, append([]string(nil), system.Glob(tree, filepath.Join(dir, pattern))...), pattern)
	}
	f, err := system.Open(tree, dir+"/a")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = system.Open(nil, dir+"/a")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// TestOwnedSafely checks modes, among them the modes ssh refuses.
func TestOwnedSafely(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o602: false, 0o666: false, 0o620: false} {
		require.NoError(t, os.Chmod(file, mode))
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, want, system.OwnedSafely(info, "nobody-has-a-group-of-this-name"), mode)
	}
}

// TestAddresses asks the machine.
func TestAddresses(t *testing.T) {
	addrs, err := system.Addresses()
	require.NoError(t, err)
	require.NotEmpty(t, addrs)
	require.NotEmpty(t, system.ConfigDir())
}
