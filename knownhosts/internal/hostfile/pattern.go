package hostfile

import (
	"errors"
	"strings"
)

// maxPattern is OpenSSH's bound for one pattern of a list. OpenSSH ignores a line
// with a longer pattern.
const maxPattern = 1022

// patternList is a comma-separated list of patterns in lower case. A pattern may
// contain the wildcards "*" and "?". A pattern behind a "!" excludes its names
// from the whole list.
type patternList string

// parsePatterns reads a list. Bad patterns do not exist, but patterns may be too
// long.
func parsePatterns(field string) (patternList, error) {
	field = Lower(field)
	if !strings.Contains(field, ".,") && !strings.HasSuffix(field, ".") && !strings.Contains(field, ".]:") &&
		len(field) <= maxPattern {
		return patternList(strings.Clone(field)), nil // a substring would keep the whole line in memory
	}
	patterns := strings.Split(field, ",")
	for i, p := range patterns {
		if len(strings.TrimPrefix(p, "!")) > maxPattern {
			return "", errors.New("host name pattern is too long")
		}
		patterns[i] = trimDot(p)
	}
	return patternList(strings.Join(patterns, ",")), nil
}

func (l patternList) complex() bool {
	return strings.ContainsAny(string(l), "*?!") || strings.Count(string(l), ",") > 1
}

func (l patternList) pair() bool { return strings.Contains(string(l), ",") }

// trimDot takes the dot off a fully qualified name. The dot of "*." stays, so
// that the pattern does not become "*", unless the pattern excludes names.
func trimDot(pattern string) string {
	name, port := pattern, ""
	if i := strings.LastIndex(pattern, "]:"); i >= 0 {
		name, port = pattern[:i], pattern[i:]
	}
	if strings.HasSuffix(name, "*.") && !strings.HasPrefix(name, "!") {
		return pattern
	}
	return strings.TrimSuffix(name, ".") + port
}

func (l patternList) Match(name string) bool {
	matched := false
	for pattern := range strings.SplitSeq(string(l), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !MatchPattern(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// MatchPattern reports whether a pattern without "!" matches all of name. The
// search goes back to the last asterisk only, because the last asterisk can take
// all that an earlier asterisk could take. So len(pattern)*len(name) steps are
// enough.
func MatchPattern(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // the last asterisk, and the part of name that was consumed up to its end
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Lower folds ASCII alone, as OpenSSH does. Unicode's folding would turn the
// Kelvin sign into a "k".
func Lower(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' })
	if i < 0 {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
