package nacre

import (
	"fmt"
	"strings"
)

// variable is an entry of Cmd.Env; err is the server's refusal.
type variable struct {
	name, value string
	err         error
}

// parseEnv takes "NAME=value" apart. Values may be secret, so errors show none.
func parseEnv(env []string) ([]variable, error) {
	vars := make([]variable, 0, len(env))
	for i, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("nacre: Cmd.Env[%d] is not of the form NAME=value", i)
		}
		if strings.ContainsRune(e, 0) {
			return nil, fmt.Errorf("nacre: Cmd.Env[%d] has a NUL byte", i)
		}
		vars = append(vars, variable{name: name, value: value})
	}
	return vars, nil
}

// withEnv returns a command line with the variables set by env. The shell in
// between serves command lines of several commands.
func withEnv(env []variable, command string) (string, error) {
	var b strings.Builder
	b.WriteString("env")
	for _, v := range env {
		if !shellName(v.name) {
			return "", fmt.Errorf("nacre: environment variable %q: no shell can set a variable of this name", v.name)
		}
		b.WriteString(" " + v.name + "=" + shellQuote(v.value))
	}
	b.WriteString(" sh -c " + shellQuote(command))
	return b.String(), nil
}

// shellName reports whether s is a name in the sense of POSIX.1-2017 section
// 3.235.
func shellName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !nameRune(r) }) && (s[0] < '0' || s[0] > '9')
}

func nameRune(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// shellQuote quotes s, so that a POSIX shell sees a single word.
func shellQuote(s string) string {
	plain := func(r rune) bool { return nameRune(r) || strings.ContainsRune("-./:=@%+,", r) }
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
