// Package syntax has the forms of ssh_config(5) that stand alone: words, arguments, patterns, tokens, numbers, times,
// sizes, addresses and names. None of the functions knows a keyword.
package syntax

import (
	"errors"
	"strings"
)

// Blanks separate words.
const Blanks = " \t\r\n"

// CutKeyword splits a line into the keyword and the rest. The keyword ends at a blank, at one =, or at a quote, and may
// stand in double quotes. ok is false for a line without a keyword: blank lines and comments.
func CutKeyword(text string) (keyword, rest string, ok bool) {
	if nul := strings.IndexByte(text, 0); nul >= 0 {
		text = text[:nul] // C's end of the string
	}
	if text == "" {
		return "", "", false
	}
	// The first byte stays, as in OpenSSH: a lone form feed is a keyword.
	text = text[:1] + strings.TrimRight(text[1:], Blanks+"\f")
	keyword, rest, ok = cutWord(text)
	// Blanks at the begin are an empty word.
	if ok && keyword == "" {
		keyword, rest, ok = cutWord(rest)
	}
	if !ok || keyword == "" || keyword[0] == '\n' || keyword[0] == '#' {
		return "", "", false
	}
	return keyword, strings.TrimLeft(rest, Blanks), true
}

// cutWord returns the first word of text. ok is false at an unpaired quote, where OpenSSH ignores the line.
func cutWord(text string) (word, rest string, ok bool) {
	end := strings.IndexAny(text, Blanks+`"=`)
	if end < 0 {
		return text, "", true
	}
	// The quoted part ends the word, even in the middle.
	if text[end] == '"' {
		inner, after, paired := strings.Cut(text[end+1:], `"`)
		return text[:end] + inner, strings.TrimLeft(after, Blanks), paired
	}
	word, rest = text[:end], strings.TrimLeft(text[end+1:], Blanks)
	// At most one = separates.
	if text[end] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], Blanks)
	}
	return word, rest, true
}

// errQuotes refuses a line that ends within quotes.
var errQuotes = errors.New("a quote has no end")

// SplitArgs splits the rest of a line into arguments. Single and double quotes group, a backslash escapes a quote or a
// backslash, and outside of quotes a blank. With comments, # ends the line where an argument could begin.
func SplitArgs(text string, comments bool) ([]string, error) {
	var args []string
	for i := 0; i < len(text); i++ {
		if text[i] == ' ' || text[i] == '\t' {
			continue
		}
		if comments && text[i] == '#' {
			break
		}
		arg, end, err := cutArg(text, i)
		if err != nil {
			return nil, err
		}
		args, i = append(args, arg), end
	}
	return args, nil
}

// cutArg returns the argument at text[i:] and the index behind its end.
func cutArg(text string, i int) (arg string, end int, err error) {
	var b strings.Builder
	quoted := byte(0)
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quoted == 0 && text[i+1] == ' '):
			i++
			b.WriteByte(text[i])
		case quoted == 0 && (c == ' ' || c == '\t'):
			return b.String(), i, nil
		case quoted == 0 && (c == '"' || c == '\''):
			quoted = c
		case quoted != 0 && c == quoted:
			quoted = 0
		default:
			b.WriteByte(c)
		}
	}
	if quoted != 0 {
		return "", 0, errQuotes
	}
	return b.String(), i, nil
}
