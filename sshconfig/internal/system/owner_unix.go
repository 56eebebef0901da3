//go:build unix

package system

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// OwnedSafely reports whether nobody but root and the user called name may write a file. The group may when the group is the user's
// own, as on systems where every user has one and the umask is 002; upstream OpenSSH is stricter, Debian's is not.
func OwnedSafely(info fs.FileInfo, name string) bool {
	mode := info.Mode().Perm()
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return mode&0o022 == 0
	}
	uid := strconv.FormatUint(uint64(stat.Uid), 10)
	if mode&0o002 != 0 || uid != "0" && uid != strconv.Itoa(syscall.Getuid()) {
		return false
	}
	if mode&0o020 == 0 {
		return true
	}
	group, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
	return err == nil && group.Name == name
}
