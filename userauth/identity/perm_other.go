//go:build !unix

package identity

import "io/fs"

// exposed is false: the mode of a file does not say who has access to it.
func exposed(fs.FileInfo) bool { return false }
