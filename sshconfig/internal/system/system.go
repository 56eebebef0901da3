// Package system answers questions about the machine: which files are there, who may write them, which addresses the
// network interfaces have. Files may come from an fs.FS instead.
package system

import (
	"cmp"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Open opens a file. A nil tree is the file system of the machine.
func Open(tree fs.FS, name string) (fs.File, error) {
	if tree == nil {
		return os.Open(name)
	}
	return tree.Open(inFS(name))
}

// inFS returns the name of an absolute path within a tree whose root is ".".
func inFS(name string) string {
	if name = strings.Trim(filepath.ToSlash(name), "/"); name == "" {
		return "."
	}
	return name
}

// Glob returns the files for a pattern in lexical order, with absolute names. Unlike fs.Glob, a leading dot matches only a dot.
func Glob(tree fs.FS, pattern string) []string {
	found := globIn(tree, pattern)
	visible := found[:0]
	elements := strings.Split(path.Clean(filepath.ToSlash(pattern)), "/")
	for _, name := range found {
		hidden := false
		for i, element := range strings.Split(path.Clean(filepath.ToSlash(name)), "/") {
			hidden = hidden || strings.HasPrefix(element, ".") && i < len(elements) && !strings.HasPrefix(elements[i], ".")
		}
		if !hidden {
			visible = append(visible, name)
		}
	}
	return visible
}

// globIn finds the files for a pattern, hidden ones included. An unpaired bracket is an ordinary character.
func globIn(tree fs.FS, pattern string) []string {
	// The shell's sign of negation is !, Go's is ^.
	pattern = strings.NewReplacer("[!", "[^", "[^", `[\^`).Replace(pattern)
	if tree == nil {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return []string{pattern} // an unpaired bracket is an ordinary character
		}
		return found
	}
	found, err := fs.Glob(tree, inFS(pattern))
	if err != nil {
		return []string{pattern}
	}
	for i, name := range found {
		found[i] = "/" + name
	}
	return found
}

// Addresses returns the addresses of all network interfaces that are up.
func Addresses() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, prefix.Addr())
			}
		}
	}
	return list, nil
}

// ConfigDir returns the directory of the files for all users.
func ConfigDir() string {
	if runtime.GOOS == "windows" {
		return cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`) + `\ssh`
	}
	return "/etc/ssh"
}
