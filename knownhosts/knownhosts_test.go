package knownhosts_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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

// H4, and H1: of a file of 200 MB nothing is taken
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
	require.ErrorContains(t, err, "empty file name")
}

// brokenFS has one file, of which it fails to do something.
type brokenFS struct {
	stat, open, read error
	content          io.Reader
}

func (f brokenFS) Stat(string) (fs.FileInfo, error) { return f, f.stat }
func (f brokenFS) Open(string) (fs.File, error)     { return brokenFile{f}, f.open }
func (f brokenFS) Name() string                     { return "known_hosts" }
func (f brokenFS) Size() int64                      { return 0 } // as those below /proc have
func (f brokenFS) Mode() fs.FileMode                { return 0o600 }
func (f brokenFS) ModTime() time.Time               { return time.Time{} }
func (f brokenFS) IsDir() bool                      { return false }
func (f brokenFS) Sys() any                         { return nil }

type brokenFile struct{ brokenFS }

func (f brokenFile) Stat() (fs.FileInfo, error) { return f, f.stat }
func (f brokenFile) Close() error               { return nil }
func (f brokenFile) Read(p []byte) (int, error) {
	if f.content == nil {
		return copy(p, "host "), f.read
	}
	return f.content.Read(p)
}

// A revocation might stand in what cannot be read (H4).
func TestLoadFailsForWhatIsNotReadable(t *testing.T) {
	for name, test := range map[string]struct {
		fsys brokenFS
		want error
	}{
		"not to be looked at": {brokenFS{stat: fs.ErrPermission}, fs.ErrPermission},
		"not to be opened":    {brokenFS{open: fs.ErrPermission}, fs.ErrPermission},
		"breaks off":          {brokenFS{read: io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF},
	} {
		_, err := knownhosts.LoadFS(test.fsys, "known_hosts")
		require.ErrorIs(t, err, test.want, name)
	}
	_, err := knownhosts.LoadFS(brokenFS{content: endless{}}, "known_hosts")
	require.ErrorContains(t, err, "larger than 64 MiB")
}

// endless is a file that claims to be empty and has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

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

// H1
func TestLoadReadsLinesOfAnyLength(t *testing.T) {
	const longest = 1 << 20
	good := "host " + text(key("host"))
	lines := []string{
		"first " + text(key("host")),
		strings.Repeat("a", 3*longest) + " " + text(key("host")),
		good + strings.Repeat(" ", longest-len(good)+1),
		"second " + text(key("host")) + strings.Repeat(" c", longest/4),
		good + strings.Repeat(" ", longest-len(good)),
		strings.Repeat("n,", 3000) + "last " + text(key("host")),
	}
	content := strings.Join(lines, "\n")
	for _, d := range []*knownhosts.DB{load(t, write(t, content)), knownhosts.Parse("f", []byte(content))} {
		for _, addr := range []string{"first:22", "second:22", "host:22", "last:22"} {
			requireKind(t, 0, verify(t, d, addr, key("host")))
		}
		skipped := d.Skipped()
		require.Len(t, skipped, 2)
		require.Equal(t, []int{2, 3}, []int{skipped[0].Number, skipped[1].Number})
		require.ErrorContains(t, skipped[0], ":2: longer than 1048576 bytes")
	}
}

func TestLoadTakesFilesOf64MiB(t *testing.T) {
	const most = 64 << 20
	name := write(t, "host "+text(key("host"))+"\n") // and behind it a line of zeros
	require.NoError(t, os.Truncate(name, most))
	d := load(t, name)
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
	require.Len(t, d.Skipped(), 1)
	require.NoError(t, os.Truncate(name, most+1))
	_, err := knownhosts.Load(name)
	require.ErrorContains(t, err, "larger than 64 MiB")
}

func TestPatternsOf1022BytesAreTaken(t *testing.T) {
	for length, skipped := range map[int]int{1022: 0, 1023: 1} {
		for _, prefix := range []string{"", "!", "other,"} {
			d := knownhosts.Parse("f", []byte(prefix+strings.Repeat("h", length)+" "+text(key("host"))))
			require.Len(t, d.Skipped(), skipped, "%s and %d bytes", prefix, length)
		}
	}
}

// H1
func TestLoadTakesManyLinesInShortTime(t *testing.T) {
	defer debug.FreeOSMemory()
	ecdsa := text(ecdsaSigner().PublicKey())
	var b strings.Builder
	for range 50_000 {
		b.WriteString("some.host.example,192.0.2.1 " + ecdsa + "\n")
		b.WriteString("bad line\n")
	}
	b.WriteString("host " + text(key("host")))
	file := write(t, b.String())
	start := time.Now()
	d := load(t, file)
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
	require.Less(t, time.Since(start), time.Minute) // less than one without the race detector
	require.Len(t, d.Skipped(), 1000)
}

// H1
func TestSkippedNamesFileLineAndReason(t *testing.T) {
	file := write(t, "# comment\n\nbad\n")
	d := load(t, file)
	require.Len(t, d.Skipped(), 1)
	require.Equal(t, file, d.Skipped()[0].File)
	require.Equal(t, 3, d.Skipped()[0].Number)
	require.EqualError(t, d.Skipped()[0], "knownhosts: "+file+":3: lacks a host name, a key type or a key")
}
