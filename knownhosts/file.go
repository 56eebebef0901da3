package knownhosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// lockWait bounds the wait for others that have the file locked and write
	// nothing.
	lockWait = 10 * time.Second
	// maxEdits bounds how often an edit begins again because somebody else has
	// put another file in the place of ours meanwhile.
	maxEdits = 100
)

// errReplaced: what was edited is not the file of that name any more.
var errReplaced = errors.New("it is replaced or written to all the time")

// turn is a lock that is waited for no longer than a context lasts. The zero
// turn is free.
type turn struct {
	once  sync.Once
	taken chan struct{} // full while it is
}

func (t *turn) take(ctx context.Context) error {
	t.once.Do(func() { t.taken = make(chan struct{}, 1) })
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turn) release() { <-t.taken }

// editFile changes a file: edit gets its content, and returns what it is to be.
// Where that only adds to the end, it is appended, and otherwise it takes the
// place of the file at once, so that nobody ever reads half of it. A missing
// file is created with mode 0600, and its directories with 0700; one that
// exists keeps its mode and owner, and a symbolic link stays one.
//
// The file is locked meanwhile against those who do the same. OpenSSH locks
// nothing: what it appends is not lost either, nor what we append while it puts
// another file in place. So edit may be called several times.
func editFile(ctx context.Context, name string, edit func(content []byte) ([]byte, error)) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return notRegular(name)
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

func editOnce(ctx context.Context, name string, edit func(content []byte) ([]byte, error)) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { // which also unlocks it
		if closed := f.Close(); err == nil && !errors.Is(closed, fs.ErrClosed) {
			err = closed
		}
	}()
	if err := lockFile(ctx, f); err != nil {
		return &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	// Whoever had the lock may have put another file in place, and unlocked one
	// that has no name any more.
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

// readFile reads a file as Load does.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, notRegular(name)
	case info.Size() > maxFile:
		return nil, tooLarge(name)
	}
	return os.ReadFile(name)
}

// isCurrent reports whether f is what name stands for.
func isCurrent(f *os.File, name string) bool {
	ours, err := f.Stat()
	theirs, err2 := os.Stat(name)
	return err == nil && err2 == nil && os.SameFile(ours, theirs)
}

// appendTo writes in one piece. What a full disk let through of it is taken
// back, unless somebody else has written behind it.
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
			err = join(err, f.Truncate(before.Size()))
		}
		return err
	}
	if !isCurrent(f, name) {
		return errReplaced // the line went to the file that has just been replaced
	}
	return nil
}

// replace puts a new file in the place of f, of which size bytes were read.
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
	if err = join(err, temporary.Close()); err == nil {
		err = rename(f, temporary.Name(), name, int64(size))
	}
	if err != nil {
		return join(err, os.Remove(temporary.Name()))
	}
	return adoptLate(f, name, int64(size))
}

// rename takes the last look at whether the file is still what was read.
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

// adoptLate carries over what somebody who does not lock has appended to the
// old file just before it was replaced.
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
	return join(err, current.Close())
}

// awaitLock tries again and again, because a lock that is waited for in the
// system cannot be given up when ctx ends. It gives up by itself if nobody has
// written meanwhile: many who write one after the other may take longer.
func awaitLock(ctx context.Context, f *os.File, try func() (locked bool, err error)) error {
	last, since := int64(-1), time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		locked, err := try()
		if locked || err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if size := info.Size(); size != last {
			last, since = size, time.Now()
		}
		if time.Since(since) >= lockWait {
			return fmt.Errorf("another process has had the lock for %v, and written nothing", lockWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
