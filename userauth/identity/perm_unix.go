//go:build unix

package identity

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed reports whether others have access to a file of this user. Files of
// other users pass, as in OpenSSH.
func exposed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
