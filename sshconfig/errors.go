package sshconfig

import (
	"errors"
	"fmt"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Error is a line that Load refuses.
type Error struct {
	File    string // "command-line" for Loader.Options
	Line    int    // 0 for Loader.Options
	Keyword string // as OpenSSH's manual spells a known keyword, empty where none was read
	Err     error
}

// Error names the file, the line and the keyword.
func (e *Error) Error() string {
	text := "sshconfig: " + e.File
	if e.Line > 0 {
		text += fmt.Sprintf(" line %d", e.Line)
	}
	switch {
	case keywordByName[syntax.Lower(e.Keyword)] != nil:
		text += ": " + e.Keyword
	case e.Keyword != "":
		text += ": " + syntax.Quote(e.Keyword)
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// errorf returns an error with the package's prefix.
func errorf(format string, args ...any) error { return fmt.Errorf("sshconfig: "+format, args...) }

var (
	errMissing = errors.New("the argument is missing")

	// errKeep is the result of a value that is right and changes nothing: a time of "none".
	errKeep = errors.New("keep")
)
