package hostfile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// maxQuoted bounds foreign text in an error, in bytes before quoting.
const maxQuoted = 128

// Quote makes foreign text safe to show.
func Quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}

// Visible replaces characters that a terminal could obey, or by which text could
// look like other text. Line feeds stay.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// OneLine is Visible without line feeds.
func OneLine(s string) string { return strings.ReplaceAll(Visible(s), "\n", " ") }

// Position returns "file:number", as editors understand. A number of 0 stands for
// a line that is not in the file yet, an empty name for memory.
func Position(file string, number int) string {
	if file == "" {
		file = "(in memory)"
	}
	if number == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(number)
}

// Join returns an error of two, on a single line. Either may be nil.
func Join(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}
