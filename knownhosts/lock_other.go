//go:build !unix || solaris || aix

package knownhosts

import (
	"context"
	"io/fs"
	"os"
)

// renamesOverOpenFiles: Windows does not.
const renamesOverOpenFiles = false

// lockFile does nothing: here lines are whole, but two processes that learn the
// same key at once both write it, and what one writes in the moment in which
// another puts a rotated file in place is lost, and learned again next time.
func lockFile(context.Context, *os.File) error { return nil }

// likeFile gives f the mode of the file that it is to replace.
func likeFile(f *os.File, old fs.FileInfo) error { return os.Chmod(f.Name(), old.Mode().Perm()) }
