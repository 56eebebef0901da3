package knownhosts_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

func TestLoadTakesMissingFilesForEmptyOnes(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "dangling")
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), dangling))
	d := load(t, filepath.Join(dir, "missing"), os.DevNull, dangling, write(t, "host "+text(key("host"))))
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
	requireKind(t, knownhosts.Unknown, verify(t, load(t), "host:22", key("host")))
	requireKind(t, knownhosts.Unknown, verify(t, new(knownhosts.DB), "host:22", key("host")))
}

// H4, and H1: nothing is taken of a file of 200 MB.
func TestLoadFailsForWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Symlink("loop", path("loop")))
	require.NoError(t, os.WriteFile(path("file"), nil, 0o600))
	large, err := os.Create(path("large"))
	require.NoError(t, err)
	require.NoError(t, large.Truncate(200<<20))
	require.NoError(t, large.Close())

	for _, name := range []string{dir, path("loop"), path("file/below"), path("large")} {
		_, err := knownhosts.Load(path("file"), name)
		var pathError *fs.PathError
		require.ErrorAs(t, err, &pathError, name)
		require.Equal(t, name, pathError.Path)
		require.True(t, strings.HasPrefix(err.Error(), "knownhosts: "), err)
	}
	_, err = knownhosts.Load("")
	require.ErrorContains(t, err, "name of a file is empty")
}

func TestLoadFSReadsFromAFileSystem(t *testing.T) {
	fsys := fstest.MapFS{
		"etc/known_hosts": {Data: []byte("host " + text(key("host")))},
		"dir":             {Mode: fs.ModeDir},
	}
	d, err := knownhosts.LoadFS(fsys, "missing", "etc/known_hosts")
	require.NoError(t, err)
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
	require.NoError(t, d.Add("other:22", key("other")))
	requireKind(t, 0, verify(t, d, "other:22", key("other")))
	_, err = knownhosts.LoadFS(fsys, "dir")
	require.ErrorContains(t, err, "not a regular file")
	for _, name := range []string{"../etc", "/etc/known_hosts", ""} {
		_, err = knownhosts.LoadFS(fsys, name)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
	}
}

// H1: a report names file, line and reason.
func TestSkippedNamesFileLineAndReason(t *testing.T) {
	file := write(t, "# comment\n\nbad\n")
	d := load(t, file)
	require.Len(t, d.Skipped(), 1)
	require.Equal(t, file, d.Skipped()[0].File)
	require.Equal(t, 3, d.Skipped()[0].Number)
	require.EqualError(t, d.Skipped()[0], "knownhosts: "+file+":3: lacks a host name, a key type or a key")
}
