//go:build unix && !solaris && !aix

package hostfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

const renamesOverOpenFiles = true

// lockFile locks f until f is closed. Some network file systems have no locks:
// there everybody writes as OpenSSH does.
func lockFile(ctx context.Context, f *os.File) error {
	return awaitLock(ctx, f, func() (bool, error) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR):
			return false, nil
		case errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP):
			return true, nil
		}
		return err == nil, err
	})
}

// likeFile gives f the mode and the owner of the old file.
func likeFile(f *os.File, old fs.FileInfo) error {
	ours, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok := ours.Sys().(*syscall.Stat_t)
	was, ok2 := old.Sys().(*syscall.Stat_t)
	if ok && ok2 && (is.Uid != was.Uid || is.Gid != was.Gid) {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return fmt.Errorf("owner of the file cannot be kept: %w", err)
		}
	}
	return f.Chmod(old.Mode().Perm())
}
