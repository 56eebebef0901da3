package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// errEmpty refuses an empty argument: two quotes with nothing between.
var errEmpty = errors.New("an argument is empty")

// include reads the files of an Include line. A block in an included file ends with the file.
func (l *line) include() error {
	if l.cmdline {
		return errors.New("the keyword is for files only")
	}
	for len(l.args) > 0 {
		arg, _ := l.next()
		if arg == "" {
			return errEmpty
		}
		pattern, ok, err := syntax.Expand(arg, l.tokens(), l.config.getenv)
		if err != nil {
			return err
		}
		// OpenSSH reports the variable, and goes on.
		if !ok {
			continue // an unset variable skips the pattern
		}
		if pattern, err = l.anchor(pattern); err != nil {
			return err
		}
		for _, name := range system.Glob(l.FS, pattern) {
			if err := l.includeFile(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// anchor makes the pattern of an Include absolute.
func (l *line) anchor(pattern string) (string, error) {
	switch {
	case strings.HasPrefix(pattern, "~"):
		if l.system {
			return "", errors.New("path " + syntax.Quote(pattern) + " of a system file begins with ~")
		}
		return l.tilde(pattern), nil
	case strings.HasPrefix(pattern, "/") || l.FS == nil && filepath.IsAbs(pattern):
		return pattern, nil
	case l.system:
		return system.ConfigDir() + "/" + pattern, nil
	}
	return l.tilde("~/.ssh/" + pattern), nil
}

// includeFile reads an included file. The file starts with the state of the block around the Include, and never
// changes it.
func (l *line) includeFile(name string) error {
	if l.depth >= maxDepth {
		return errors.New("too many Includes within Includes")
	}
	content, err := l.readFile(name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a link to nowhere
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", syntax.Quote(name), err)
	}
	// The blocks of the file work on a copy.
	active := l.active
	return l.lines(&reading{name: name, system: l.system, never: !active, depth: l.depth + 1}, content, &active)
}
