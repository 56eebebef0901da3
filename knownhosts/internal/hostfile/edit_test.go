package hostfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// editVariable names a file that the test binary edits when started as a process
// of its own: "first" becomes "second", and otherwise a line is appended.
const editVariable = "NACRE_TEST_EDIT"

func editInProcess(file string) {
	err := hostfile.Edit(context.Background(), file, func(content []byte) ([]byte, error) {
		if bytes.Contains(content, []byte("first")) {
			return bytes.ReplaceAll(content, []byte("first"), []byte("second")), nil
		}
		return append(content, strings.Repeat("z", 99)+"\n"...), nil
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// edit runs the test binary to edit a file, by a command of the shell.
func edit(t *testing.T, command, file string) (says string, err error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("sh", "-c", command, self)
	cmd.Env = append(os.Environ(), editVariable+"="+file)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func adding(line string) func([]byte) ([]byte, error) {
	return func(content []byte) ([]byte, error) { return append(content, line...), nil }
}

func replacing(content string) func([]byte) ([]byte, error) {
	return func([]byte) ([]byte, error) { return []byte(content), nil }
}

func TestEditCreatesFileAndDirectories(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, ".ssh", "known_hosts")
	require.NoError(t, hostfile.Edit(t.Context(), file, adding("line\n")))
	require.Equal(t, "line\n", read(t, file))
	for _, name := range []string{file, filepath.Dir(file)} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077, name)
	}
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("target", link))
	require.NoError(t, hostfile.Edit(t.Context(), link, adding("line\n")))
	require.Equal(t, "line\n", read(t, filepath.Join(dir, "target")))
}

// H7: neither an addition nor a replacement changes mode or link, or leaves other
// files behind.
func TestFileStaysWhatItWas(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(target, []byte("one\ntwo\n"), 0o600))
	require.NoError(t, os.Chmod(target, 0o664))
	require.NoError(t, os.Symlink("target", link))
	for _, step := range []struct {
		edit func([]byte) ([]byte, error)
		want string
	}{
		{adding("three\n"), "one\ntwo\nthree\n"},
		{replacing("one\nthree\n"), "one\nthree\n"},
		{replacing(""), ""},
		{unchanged, ""},
	} {
		require.NoError(t, hostfile.Edit(t.Context(), link, step.edit))
		require.Equal(t, step.want, read(t, target))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		require.Equal(t, fs.ModeSymlink, info.Mode().Type())
		info, err = os.Stat(target)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o664), info.Mode())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 2)
	}
}

func TestEditThatFailsChangesNothing(t *testing.T) {
	file := write(t, "line\n")
	refused := errors.New("refused")
	err := hostfile.Edit(t.Context(), file, func([]byte) ([]byte, error) { return []byte("x"), refused })
	require.ErrorIs(t, err, refused)
	require.Equal(t, "line\n", read(t, file))
	var pathError *fs.PathError
	require.ErrorAs(t, hostfile.Edit(t.Context(), t.TempDir(), unchanged), &pathError)
}

// OpenSSH locks nothing: meanwhile the file gets a line, or another file takes
// its place. The edit begins again, and both changes stay.
func TestEditBeginsAgainWhenOthersWrite(t *testing.T) {
	for name, others := range map[string]func(t *testing.T, file string){
		"a line": func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, err)
			_, err = f.WriteString("theirs\n")
			require.NoError(t, errors.Join(err, f.Close()))
		},
		"a file": func(t *testing.T, file string) {
			require.NoError(t, os.WriteFile(file+".new", []byte("first\ntheirs\n"), 0o600))
			require.NoError(t, os.Rename(file+".new", file))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "first\n")
			times := 0
			require.NoError(t, hostfile.Edit(t.Context(), file, func(content []byte) ([]byte, error) {
				if times++; times == 1 {
					others(t, file)
				}
				return bytes.ReplaceAll(content, []byte("first"), []byte("second")), nil
			}))
			require.Equal(t, "second\ntheirs\n", read(t, file))
			require.Equal(t, 2, times)
		})
	}
	file := write(t, "first\n")
	err := hostfile.Edit(t.Context(), file, func(content []byte) ([]byte, error) {
		require.NoError(t, os.WriteFile(file+".new", content, 0o600))
		require.NoError(t, os.Rename(file+".new", file))
		return []byte("second\n"), nil
	})
	require.ErrorContains(t, err, "edit "+file+": another program keeps changing the file: try again")
}

// The system ends a write in the middle of a line: a limit on the size of files,
// 512 bytes here, cuts the write off as a full disk does.
func TestFullDiskLosesNothing(t *testing.T) {
	for _, room := range []int{0, 1, 20} {
		before := strings.Repeat("x", 512-room-1) + "\n"
		file := write(t, before)
		says, err := edit(t, `ulimit -f 1 && exec "$0"`, file)
		require.Error(t, err)
		require.Contains(t, says, "write "+file+": file too large")
		require.Equal(t, before, read(t, file))
		says, err = edit(t, `exec "$0"`, file)
		require.NoError(t, err, says)
		require.Equal(t, before+strings.Repeat("z", 99)+"\n", read(t, file))
	}
}

func TestReplacementOnAFullDiskLosesNothing(t *testing.T) {
	before := "first\n" + strings.Repeat("x", 506) + "\n"
	file := write(t, before)
	says, err := edit(t, `ulimit -f 1 && exec "$0"`, file)
	require.Error(t, err)
	require.Contains(t, says, "file too large")
	require.Equal(t, before, read(t, file))
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1)
	says, err = edit(t, `exec "$0"`, file)
	require.NoError(t, err, says)
	require.Equal(t, "second"+before[len("first"):], read(t, file))
}

// Additions and replacements, many at once, lose nothing of one another.
func TestConcurrentEditsLoseNothing(t *testing.T) {
	const writers, lines = 6, 30
	file := write(t, "0\n")
	var all sync.WaitGroup
	errs := make(chan error, writers*lines*2)
	for w := range writers {
		all.Go(func() {
			for l := range lines {
				errs <- hostfile.Edit(t.Context(), file, adding(fmt.Sprintf("w%d-l%d\n", w, l)))
				if w == 0 {
					errs <- hostfile.Edit(t.Context(), file, func(content []byte) ([]byte, error) {
						_, rest, _ := bytes.Cut(content, []byte("\n"))
						return append(fmt.Appendf(nil, "%d\n", l+1), rest...), nil
					})
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	content := read(t, file)
	require.True(t, strings.HasPrefix(content, fmt.Sprintf("%d\n", lines)))
	require.Equal(t, writers*lines+1, strings.Count(content, "\n"))
}
