package sshconfig

import (
	"errors"
	"slices"
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// OpenSSH's bounds of lists.
const (
	maxIdentities = 100
	maxHostFiles  = 32
)

// readFiles reads IdentityFile and CertificateFile: every line adds a file that the list does not have.
func readFiles(field func(*Config) *[]string) func(l *line) error {
	return func(l *line) error {
		name, err := l.arg()
		if err != nil || !l.active {
			return err
		}
		list, keyword := field(l.config), syntax.Lower(l.keyword.name)
		if len(*list) >= maxIdentities {
			return errors.New("too many files")
		}
		for i, have := range *list {
			// OpenSSH tells the user's files from the system's.
			if have == name && l.config.fromSystem[keyword][i] == l.system {
				return nil
			}
		}
		*list = append(*list, name)
		l.config.fromSystem[keyword] = append(l.config.fromSystem[keyword], l.system)
		l.addOrigin()
		return nil
	}
}

// addOrigin records the place of a list's last element.
func (l *line) addOrigin() {
	name := syntax.Lower(l.keyword.name)
	l.config.origins[name] = append(l.config.origins[name], l.place())
}

// readNames reads a list of names, none of them empty. The word none stands alone.
func readNames(l *line) ([]string, error) {
	list, err := l.all("none")
	if err == nil && slices.Contains(list, "") {
		err = errEmpty
	}
	if err == nil && len(list) == 0 {
		err = errMissing
	}
	return list, err
}

// readHostFiles reads GlobalKnownHostsFile and UserKnownHostsFile. A line with a comment only is fine, as for
// OpenSSH.
func readHostFiles(l *line) ([]string, error) {
	if len(l.args) == 0 {
		return nil, errKeep
	}
	list, err := readNames(l)
	if err == nil && len(list) > maxHostFiles {
		err = errors.New("too many files")
	}
	return list, err
}

// readLogVerbose keeps the first pattern, as OpenSSH does.
func readLogVerbose(l *line) ([]string, error) {
	if len(l.args) == 0 {
		return nil, errKeep
	}
	list, err := readNames(l)
	if err != nil {
		return nil, err
	}
	return list[:1], nil
}

// readSendEnv adds patterns to the list, or takes off those that match a pattern with a minus.
func readSendEnv(l *line) error {
	if len(l.args) == 0 {
		return errMissing
	}
	for len(l.args) > 0 {
		arg, _ := l.next()
		if arg == "" || strings.Contains(arg, "=") {
			return errors.New(syntax.Quote(arg) + " is not the name of a variable")
		}
		if !l.active {
			continue
		}
		if pattern, ok := strings.CutPrefix(arg, "-"); ok {
			l.removeEnv(pattern)
			continue
		}
		l.config.SendEnv = append(l.config.SendEnv, arg)
		l.addOrigin()
	}
	return nil
}

// removeEnv takes the names that match a pattern off the list, with their places.
func (l *line) removeEnv(pattern string) {
	var names []string
	var origins []origin
	for i, name := range l.config.SendEnv {
		if !syntax.MatchPattern(name, pattern) {
			names, origins = append(names, name), append(origins, l.config.origins["sendenv"][i])
		}
	}
	l.config.SendEnv, l.config.origins["sendenv"] = names, origins
}

// readSetEnv reads NAME=value pairs. The first value of a name wins.
func readSetEnv(l *line) ([]string, error) {
	var list []string
	names := make(map[string]bool)
	for len(l.args) > 0 {
		arg, _ := l.next()
		name, _, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, errors.New(syntax.Quote(arg) + " is not of the form NAME=value")
		}
		if !names[name] {
			names[name], list = true, append(list, arg)
		}
	}
	if list == nil {
		return nil, errMissing
	}
	return list, nil
}

// readDomains reads CanonicalDomains, in lower case and without a dot at the end.
func readDomains(l *line) ([]string, error) {
	list, err := l.all("none")
	if err == nil && len(list) == 0 {
		err = errMissing
	}
	for i := range list {
		if err != nil {
			break
		}
		list[i], err = syntax.ParseDomain(syntax.Lower(list[i]))
	}
	return list, err
}

// readCNAMEs reads CanonicalizePermittedCNAMEs. The rules are in lower case.
func readCNAMEs(l *line) ([]CNAMERule, error) {
	list, err := l.all("none")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errMissing
	}
	var rules []CNAMERule
	for _, arg := range list {
		if strings.EqualFold(arg, "none") {
			return nil, nil
		}
		source, target, err := syntax.ParseCNAME(arg)
		if err != nil {
			return nil, err
		}
		rules = append(rules, CNAMERule{source, target})
	}
	return rules, nil
}

// readChannels reads ChannelTimeout. None gives an empty list.
func readChannels(l *line) ([]ChannelTimeout, error) {
	list, err := l.all("none")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errMissing
	}
	var timeouts []ChannelTimeout
	for _, arg := range list {
		if strings.EqualFold(arg, "none") {
			return nil, nil
		}
		kind, timeout, err := syntax.ParseTimeout(arg)
		if err != nil {
			return nil, err
		}
		timeouts = append(timeouts, ChannelTimeout{kind, timeout})
	}
	return timeouts, nil
}

// readPermit reads PermitRemoteOpen. The words any and none stand alone.
func readPermit(l *line) ([]string, error) {
	list, err := l.all("none", "any")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errMissing
	}
	for _, arg := range list {
		if strings.EqualFold(arg, "none") || strings.EqualFold(arg, "any") {
			continue
		}
		if err := syntax.CheckTarget(arg); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readAddKeys reads AddKeysToAgent: a word, a lifetime, or confirm with a lifetime.
func readAddKeys(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	l.args = append([]string{arg}, l.args...)
	value, err := readMode(l, []string{"true", "false", "ask", "confirm"})
	lifetime := duration(0)
	// A lone time is yes with a lifetime.
	limit, limited := l.next()
	switch {
	case err == nil && limited && value == "confirm":
		lifetime, err = syntax.ParseTime(limit)
	case err == nil && limited:
		err = errors.New("only confirm goes with a lifetime")
	case err != nil && !limited:
		value = Yes
		lifetime, err = syntax.ParseTime(arg)
	}
	if err == nil && l.active && l.claim("addkeystoagent", l.place()) {
		l.config.AddKeysToAgent, l.config.AddKeysToAgentLifetime = value, lifetime
	}
	return err
}

// readAgent reads the path of an agent's socket, or the name of a variable with the path.
func readAgent(l *line) (string, error) {
	arg, err := l.arg()
	if err != nil {
		return "", err
	}
	// OpenSSH wants the variables at once, and replaces them at the end.
	_, ok, err := syntax.Expand(arg, nil, l.config.getenv)
	if err == nil && !ok {
		err = syntax.ErrUnset(arg)
	}
	if err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(arg, "$"); ok && !strings.HasPrefix(name, "{") && !syntax.IsVariable(name) {
		return "", errors.New(syntax.Quote(arg) + " is not the name of a variable")
	}
	return arg, nil
}

// readForwardAgent reads ForwardAgent: yes, no, or the agent to forward.
func readForwardAgent(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	l.args = append([]string{arg}, l.args...)
	// Whatever is no flag is a socket.
	forward, err := readFlag(l)
	if err != nil {
		l.args = append([]string{arg}, l.args...)
		forward = true
		if arg, err = readAgent(l); err != nil {
			return err
		}
		if l.active && l.claim("forwardagentpath", l.place()) {
			l.config.ForwardAgentPath = arg
		}
	}
	if l.active && l.claim("forwardagent", l.place()) {
		l.config.ForwardAgent = forward
	}
	return nil
}

// readPersist reads ControlPersist: yes, no, or the time to wait for a client.
func readPersist(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	persist, timeout := true, duration(0)
	switch arg {
	case "yes", "true":
	case "no", "false":
		persist = false
	default:
		if timeout, err = syntax.ParseTime(arg); err != nil {
			return err
		}
	}
	if l.active && l.claim("controlpersist", l.place()) {
		l.config.ControlPersist, l.config.ControlPersistTimeout = persist, timeout
	}
	return nil
}
