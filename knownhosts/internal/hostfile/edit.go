package hostfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxEdits bounds how often an edit begins again because somebody else has put
// another file in the place of ours.
const maxEdits = 100

// errReplaced says that the edited file is not the file of that name any more.
var errReplaced = errors.New("another program keeps changing the file: try again")

// Edit changes a file: edit gets the content, and returns the new content. New
// content that only adds to the end is appended. Other new content takes the
// place of the file at once, so that nobody ever reads half of the file. A
// missing file is created with mode 0600, and its directories with 0700. A file
// that exists keeps its mode and owner, and a symbolic link stays a link.
//
// Edit holds a lock of the file, and waits for the lock until ctx ends. OpenSSH
// locks nothing. Lines that OpenSSH appends are not lost all the same, nor are
// our lines while OpenSSH puts another file in place. So edit may be called
// several times.
func Edit(ctx context.Context, name string, edit func(content []byte) ([]byte, error)) error {
	if info, err := os.Stat(name); err == nil {
		if err := checkFile(name, info); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	for range maxEdits {
		if err := editOnce(ctx, name, edit); !errors.Is(err, errReplaced) {
			return err
		}
	}
	return &fs.PathError{Op: "edit", Path: name, Err: errReplaced}
}

// editOnce is one attempt of Edit. errReplaced asks for another attempt.
func editOnce(ctx context.Context, name string, edit func(content []byte) ([]byte, error)) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { // also unlocks the file
		if closed := f.Close(); err == nil && !errors.Is(closed, fs.ErrClosed) {
			err = closed
		}
	}()
	if err := lockFile(ctx, f); err != nil {
		return &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	// The last owner of the lock may have put another file in place, and unlocked
	// a file without a name.
	if !isCurrent(f, name) {
		return errReplaced
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	if len(content) > maxFile {
		return tooLarge(name)
	}
	edited, err := edit(bytes.Clone(content))
	if err != nil {
		return err
	}
	if added, ok := bytes.CutPrefix(edited, content); ok {
		return appendTo(f, name, added)
	}
	return replace(f, name, len(content), edited)
}

// isCurrent reports whether name still stands for f.
func isCurrent(f *os.File, name string) bool {
	ours, err := f.Stat()
	theirs, err2 := os.Stat(name)
	return err == nil && err2 == nil && os.SameFile(ours, theirs)
}

// appendTo writes in one piece. A part that a full disk let through is taken
// back, unless somebody else has written behind.
func appendTo(f *os.File, name string, added []byte) error {
	if len(added) == 0 {
		return nil
	}
	before, err := f.Stat()
	if err != nil {
		return err
	}
	n, err := f.Write(added)
	if err != nil {
		if now, statErr := f.Stat(); statErr == nil && n > 0 && now.Size() == before.Size()+int64(n) {
			err = Join(err, f.Truncate(before.Size()))
		}
		return err
	}
	if !isCurrent(f, name) {
		return errReplaced // the line went to a file without a name
	}
	return nil
}

// replace puts a new file in the place of f. The first size bytes of f were read.
func replace(f *os.File, name string, size int, content []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	before, err := f.Stat()
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".known_hosts-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err == nil {
		err = likeFile(temporary, before)
	}
	if err == nil {
		err = temporary.Sync() // or a crash could leave an empty file under the name
	}
	if err = Join(err, temporary.Close()); err == nil {
		err = rename(f, temporary.Name(), name, int64(size))
	}
	if err != nil {
		return Join(err, os.Remove(temporary.Name()))
	}
	return adoptLate(f, name, int64(size))
}

// rename puts a new file in place if f is still the file that was read.
func rename(f *os.File, from, to string, size int64) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if now.Size() != size || !isCurrent(f, to) {
		return errReplaced
	}
	if !renamesOverOpenFiles {
		if err := f.Close(); err != nil {
			return err
		}
	}
	return os.Rename(from, to)
}

// adoptLate carries over lines that others, who do not lock, have appended to the
// old file just before its replacement.
func adoptLate(f *os.File, name string, size int64) error {
	if !renamesOverOpenFiles {
		return nil
	}
	late, err := io.ReadAll(io.NewSectionReader(f, size, maxFile))
	if err != nil || len(late) == 0 {
		return err
	}
	current, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = current.Write(late)
	return Join(err, current.Close())
}
