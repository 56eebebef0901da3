package sshconfig

import (
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/edit"
	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Option is a keyword with its value as a file has them: a value with blanks in quotes.
type Option struct {
	Keyword string
	Value   string // empty takes the keyword out
}

// SetHost returns the content of a file with options set in the block "Host host". All other bytes stay: comments, the
// order, other blocks, blanks. A line with a keyword of options gets the new value and keeps its comment; further lines
// with the keyword go. A keyword without a line is added at the end of the block. Several options with a keyword, such as
// IdentityFile, become as many lines. Without a block for host alone, SetHost adds a block before the first Match and the
// first Host with a pattern for host, so that the new values win.
//
// The caller writes the result: to a new file, and then by a rename in place of the old file. Lines before the first Host
// or Match still win over every block.
func SetHost(content []byte, host string, options ...Option) ([]byte, error) {
	if host == "" || strings.ContainsAny(host, syntax.Blanks+"*?!\"'\\#,") || !syntax.ValidHost(host) {
		return nil, errorf("host %s is not a name", syntax.Quote(host))
	}
	list := make([]edit.Option, len(options))
	for i, o := range options {
		o.Value = strings.TrimSpace(o.Value)
		if err := checkOption(o); err != nil {
			return nil, err
		}
		list[i] = edit.Option{Keyword: o.Keyword, Value: o.Value, Same: sameKeyword(o.Keyword), Command: isCommand(o.Keyword)}
	}
	return edit.SetHost(content, host, list), nil
}

// checkOption lets OpenSSH's rules judge an option before a file has it.
func checkOption(o Option) error {
	k := keywordByName[syntax.Lower(o.Keyword)]
	if k == nil || k.show == nil {
		return errorf("keyword %s is not for a Host block", syntax.Quote(o.Keyword))
	}
	if strings.ContainsAny(o.Value, "\n\r\x00") {
		return errorf("%s: the value has more than a line", k.name)
	}
	if o.Value == "" {
		return nil
	}
	if o.Value[0] == '=' {
		return errorf("%s: the value begins with =", k.name)
	}
	with, err := syntax.SplitArgs(o.Value, true)
	without, _ := syntax.SplitArgs(o.Value, false)
	if err == nil && len(with) < len(without) && !isCommand(k.name) {
		return errorf("%s: the value has a comment", k.name)
	}
	s := &state{Loader: new(Loader), config: &Config{origins: make(map[string][]origin)}}
	s.config.getenv = func(string) (string, bool) { return "", true }
	setDefaults(s.config)
	// The option goes through the same rules as a line of a file.
	active := true
	return s.line(&reading{name: "new value"}, k.name+" "+o.Value, 0, &active)
}

// sameKeyword returns the function that knows all names of a keyword.
func sameKeyword(keyword string) func(word string) bool {
	return func(word string) bool {
		return keywordByName[syntax.Lower(word)] == keywordByName[syntax.Lower(keyword)]
	}
}

// isCommand reports whether the value of a keyword is the rest of the line, with # in it.
func isCommand(keyword string) bool {
	switch syntax.Lower(keyword) {
	case "knownhostscommand", "localcommand", "proxycommand", "remotecommand":
		return true
	}
	return false
}
