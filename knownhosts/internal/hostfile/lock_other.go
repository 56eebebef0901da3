//go:build !unix || solaris || aix

package hostfile

import (
	"context"
	"io/fs"
	"os"
)

// renamesOverOpenFiles is false because Windows refuses to rename over open
// files.
const renamesOverOpenFiles = false

// lockFile does nothing. Lines are whole all the same. But two processes that
// learn the same key at once both write the key, and a line that is written while
// another process puts a file in place is lost, and learned again next time.
func lockFile(context.Context, *os.File) error { return nil }

// likeFile gives f the mode of the old file.
func likeFile(f *os.File, old fs.FileInfo) error { return os.Chmod(f.Name(), old.Mode().Perm()) }
