package sshconfig

import (
	"errors"
	"slices"
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// listOf returns the name of the list of a keyword, in the maps of package syntax.
func listOf(keyword string) string {
	switch keyword {
	case "CASignatureAlgorithms":
		return "CASignature"
	case "HostKeyAlgorithms", "HostbasedAcceptedAlgorithms", "PubkeyAcceptedAlgorithms":
		return "PublicKey"
	}
	return keyword
}

// list returns the list with a name of the maps in package syntax. PublicKey serves three keywords.
func (a *Algorithms) list(name string) []string {
	switch name {
	case "Ciphers":
		return a.Ciphers
	case "MACs":
		return a.MACs
	case "KexAlgorithms":
		return a.KexAlgorithms
	case "CASignature":
		return a.CASignature
	}
	return a.PublicKey
}

// supported returns the names that a list of the keyword may have: the caller's, or OpenSSH's.
func (s *state) supported(keyword string) []string {
	if list := s.Supported.list(listOf(keyword)); len(list) > 0 {
		return list
	}
	return syntax.Supported[listOf(keyword)]
}

// preferred returns the list of the keyword that a modifier changes: the caller's, or OpenSSH's.
func (s *state) preferred(keyword string) []string {
	if list := s.Defaults.list(listOf(keyword)); len(list) > 0 {
		return list
	}
	return syntax.Defaults[listOf(keyword)]
}

// readAlgorithms checks a list of algorithms. finish applies its modifier.
func readAlgorithms(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, err
	}
	names := strings.TrimLeft(arg[:1], "+^") + arg[1:]
	// To remove an unknown name is no mistake.
	if arg[0] == '-' {
		return []string{arg}, nil
	}
	if names == "" || names[0] == ',' && (l.keyword.name == "Ciphers" || l.keyword.name == "MACs") {
		return nil, errMissing
	}
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			break // OpenSSH checks no further
		}
		if !l.knows(name) {
			return nil, errors.New("algorithm " + syntax.Quote(name) + " is not known")
		}
	}
	return []string{arg}, nil
}

// isPublicKey reports whether the line is about signatures, where a list may have wildcards.
func (l *line) isPublicKey() bool {
	return !slices.Contains([]string{"Ciphers", "MACs", "KexAlgorithms"}, l.keyword.name)
}

// knows reports whether OpenSSH lets a name or pattern of a list pass. CASignatureAlgorithms takes no certificates.
func (l *line) knows(name string) bool {
	names := l.supported(l.keyword.name)
	if slices.Contains(names, name) {
		return true
	}
	if !l.isPublicKey() {
		return false
	}
	matches := func(known string) bool { return syntax.MatchList(known, name) != 0 }
	return slices.Contains(syntax.ShortNames, syntax.Lower(name)) || slices.ContainsFunc(l.supported("HostKeyAlgorithms"), matches) &&
		!(l.keyword.name == "CASignatureAlgorithms" && slices.Contains(l.supported("HostKeyAlgorithms"), name))
}

// assemble applies the modifier of a list.
func (s *state) assemble(name string, list []string) ([]string, error) {
	all := s.supported(name)
	// A default that is not supported is no default.
	preferred := slices.DeleteFunc(slices.Clone(s.preferred(name)), func(n string) bool { return !slices.Contains(all, n) })
	if len(list) == 0 {
		return preferred, nil
	}
	return syntax.Assemble(list[0], preferred, all)
}
