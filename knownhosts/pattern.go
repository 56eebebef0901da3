package knownhosts

import (
	"errors"
	"strings"
)

// maxPattern is OpenSSH's bound for one pattern of a list, beyond which it
// ignores the line.
const maxPattern = 1022

// patternList is a comma-separated list of patterns in lower case. A pattern
// may contain the wildcards "*" and "?", and a "!" before it excludes the names
// it matches from the whole list.
type patternList string

func parsePatterns(field string) (patternList, error) {
	field = lower(field)
	if !strings.Contains(field, ".,") && !strings.HasSuffix(field, ".") && !strings.Contains(field, ".]:") &&
		len(field) <= maxPattern {
		return patternList(strings.Clone(field)), nil // not a part of the line, which would stay in memory whole
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

// isComplex tells whether a line is for other names than one and perhaps its
// address. ssh(1) writes no such line, and removes none.
func isComplex(hosts matcher) bool {
	l, ok := hosts.(patternList)
	return ok && (strings.ContainsAny(string(l), "*?!") || strings.Count(string(l), ",") > 1)
}

// trimDot takes the dot off a fully qualified name. Behind an asterisk it
// stays, "*." must not become "*", unless the pattern is one that excludes.
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

func (l patternList) match(name string) bool {
	matched := false
	for pattern := range strings.SplitSeq(string(l), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !wildcardMatch(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// wildcardMatch reports whether pattern matches all of name. It only ever goes
// back to the last asterisk, since whatever an earlier one could take, the last
// can take as well; so it needs at most len(pattern)*len(name) steps.
func wildcardMatch(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // the last asterisk, and how much of name was consumed up to its end
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

// lower folds ASCII alone, as OpenSSH does. Unicode's folding would make a "k"
// of the Kelvin sign.
func lower(s string) string {
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
