package hostfile_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

func readContent(name string) (*hostfile.Content, error) {
	c := new(hostfile.Content)
	return c, c.Read(hostfile.System, name)
}

// H4, and H1: nothing is taken of a file of 200 MB.
func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Symlink("loop", path("loop")))
	require.NoError(t, os.WriteFile(path("file"), nil, 0o600))
	large, err := os.Create(path("large"))
	require.NoError(t, err)
	require.NoError(t, large.Truncate(200<<20))
	require.NoError(t, large.Close())

	for _, name := range []string{dir, path("loop"), path("file/below"), path("large"), path("missing")} {
		_, err := readContent(name)
		var pathError *fs.PathError
		require.ErrorAs(t, err, &pathError, name)
		require.Equal(t, name, pathError.Path)
		_, err = hostfile.ReadFile(name)
		require.ErrorAs(t, err, &pathError, name)
		require.Equal(t, name, pathError.Path)
	}
}

// brokenFS has one file, and fails to do something with the file.
type brokenFS struct {
	stat, open, read error
	content          io.Reader
}

func (f brokenFS) Stat(string) (fs.FileInfo, error) { return f, f.stat }
func (f brokenFS) Open(string) (fs.File, error)     { return brokenFile{f}, f.open }
func (f brokenFS) Name() string                     { return "known_hosts" }
func (f brokenFS) Size() int64                      { return 0 } // like files below /proc
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

// endless is a file that claims to be empty and has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// H4: a revocation might stand in the part that cannot be read.
func TestFilesThatBreakOff(t *testing.T) {
	for name, test := range map[string]struct {
		fsys brokenFS
		want error
	}{
		"not to be looked at": {brokenFS{stat: fs.ErrPermission}, fs.ErrPermission},
		"not to be opened":    {brokenFS{open: fs.ErrPermission}, fs.ErrPermission},
		"breaks off":          {brokenFS{read: io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF},
	} {
		require.ErrorIs(t, new(hostfile.Content).Read(test.fsys, "known_hosts"), test.want, name)
	}
	err := new(hostfile.Content).Read(brokenFS{content: endless{}}, "known_hosts")
	require.ErrorContains(t, err, "larger than 64 MiB")
}

// H1: a line of any length is read to its end, and a line of more than 1 MiB is
// skipped.
func TestLinesOfAnyLength(t *testing.T) {
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
	fromFile, err := readContent(write(t, content))
	require.NoError(t, err)
	for _, c := range []*hostfile.Content{fromFile, parse(content)} {
		require.Len(t, c.Lines, 4)
		for i, name := range []string{"first", "second", "host", "last"} {
			require.True(t, c.Lines[i].Names.Match(name), name)
			require.Equal(t, key("host"), c.Lines[i].Key)
		}
		require.Len(t, c.Skipped, 2)
		require.Equal(t, []int{2, 3}, []int{c.Skipped[0].Number, c.Skipped[1].Number})
		require.ErrorContains(t, c.Skipped[0], ":2: longer than 1048576 bytes")
	}
}

func TestFilesOf64MiBAreRead(t *testing.T) {
	const most = 64 << 20
	name := write(t, "host "+text(key("host"))+"\n") // and a line of zeros behind
	require.NoError(t, os.Truncate(name, most))
	c, err := readContent(name)
	require.NoError(t, err)
	require.Equal(t, []int{1}, about(c, "host"))
	require.Len(t, c.Skipped, 1)
	require.NoError(t, os.Truncate(name, most+1))
	_, err = readContent(name)
	require.ErrorContains(t, err, "larger than 64 MiB")
	_, err = hostfile.ReadFile(name)
	require.ErrorContains(t, err, "larger than 64 MiB")
}

// H1: many lines, half of them bad, take neither much time nor many reports.
func TestManyLines(t *testing.T) {
	defer debug.FreeOSMemory()
	ecdsa := text(hosttest.ECDSA().PublicKey())
	var b strings.Builder
	for range 50_000 {
		b.WriteString("some.host.example,192.0.2.1 " + ecdsa + "\n")
		b.WriteString("bad line\n")
	}
	b.WriteString("host " + text(key("host")))
	c, err := readContent(write(t, b.String()))
	require.NoError(t, err)
	require.Len(t, c.Lines, 50_001)
	require.Equal(t, []int{100_001}, about(c, "host"))
	require.Len(t, c.Skipped, 1000)
}

// H1: a report names file, line and reason, and the hosts if they are understood.
func TestSkippedLinesAreReported(t *testing.T) {
	c := parse("# comment\n\nbad\nhost ssh-dss AAAA\n")
	require.Len(t, c.Skipped, 2)
	require.EqualError(t, c.Skipped[0], "f:3: lacks a host name, a key type or a key")
	require.Error(t, c.Skipped[0].Unwrap())
	require.Equal(t, "f", c.Skipped[1].File)
	require.True(t, c.Skipped[1].Names.Match("host"))
}

func TestSeveralFilesMakeOneContent(t *testing.T) {
	c := parse("one " + text(key("host")) + "\nbad\n")
	c.Parse("g", []byte("two "+text(key("host"))+"\nbad\n"))
	require.Equal(t, []string{"f", "g"}, []string{c.Lines[0].File, c.Lines[1].File})
	require.Equal(t, []string{"f", "g"}, []string{c.Skipped[0].File, c.Skipped[1].File})
}
