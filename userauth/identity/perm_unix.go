//go:build unix

package identity

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed tells whether somebody else has access to a file of ours. OpenSSH
// leaves files alone that belong to others, and so do we.
func exposed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
