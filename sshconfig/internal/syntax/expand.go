package syntax

import (
	"errors"
	"strings"
)

// MaxLine bounds a line, and a text with its tokens, in bytes.
const MaxLine = 64 << 10

// Getenv is os.LookupEnv or a replacement.
type Getenv = func(name string) (value string, ok bool)

// ErrUnset returns the error for a text with a variable that is not set.
func ErrUnset(text string) error { return errors.New("a variable in " + Quote(text) + " is not set") }

// Expand replaces the tokens in text, and ${VARIABLE} when getenv is not nil. Nil tokens leave percent signs alone. ok is
// false when a variable is not set.
func Expand(text string, tokens map[byte]string, getenv Getenv) (result string, ok bool, err error) {
	var b strings.Builder
	ok = true
	for i := 0; i < len(text); i++ {
		switch {
		case getenv != nil && strings.HasPrefix(text[i:], "${"):
			name, _, closed := strings.Cut(text[i+2:], "}")
			if !closed || name == "" {
				return "", false, errors.New("the variable in " + Quote(text) + " has no name or no closing brace")
			}
			value, set := getenv(name)
			ok = ok && set
			b.WriteString(value)
			i += len("${") + len(name)
		case text[i] != '%' || tokens == nil:
			b.WriteByte(text[i])
		default:
			i++
			if i == len(text) {
				return "", false, errors.New("a lone % ends " + Quote(text))
			}
			value, known := tokens[text[i]]
			if text[i] == '%' {
				value, known = "%", true
			}
			if !known {
				return "", false, errors.New("token %" + text[i:i+1] + " is not known here")
			}
			b.WriteString(value)
		}
		if b.Len() > MaxLine {
			return "", false, errors.New("the text with its tokens is too long")
		}
	}
	return b.String(), ok, nil
}
