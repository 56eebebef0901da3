package sshconfig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// errFileOnly refuses Host, Match and Include in Loader.Options.
var errFileOnly = errors.New("the keyword is for files only")

// readHost reads a Host line: the block is for a host that matches a pattern and no negated pattern.
func readHost(l *line) error {
	if l.cmdline {
		return errFileOnly
	}
	l.active = false
	for len(l.args) > 0 {
		pattern, _ := l.next()
		if pattern == "" {
			return errEmpty
		}
		pattern, negated := strings.CutPrefix(pattern, "!")
		if l.never || !syntax.MatchPattern(l.host, pattern) {
			continue
		}
		// A negated pattern ends the search, whatever stands behind.
		if l.active = !negated; negated {
			l.args = nil
		}
	}
	return nil
}

// readMatch reads a Match line: the block is for a connection that meets every criterion.
func readMatch(l *line) error {
	if l.cmdline {
		return errFileOnly
	}
	matched := true
	for count := 0; ; count++ {
		word, ok := l.next()
		if !ok && count == 0 {
			return errors.New("no criterion is given")
		}
		if !ok {
			break
		}
		if word != "" && word[0] == '#' {
			l.args = nil
			if count == 0 {
				return errors.New("no criterion is given")
			}
			break
		}
		name, negated := strings.CutPrefix(word, "!")
		// OpenSSH counts the criteria before all, and lets a single one pass.
		if strings.EqualFold(name, "all") {
			next, _ := l.next()
			if count > 1 || next != "" && next[0] != '#' {
				return errors.New("the criterion all must be the only one, or stand behind canonical or final")
			}
			if next != "" {
				l.args = nil
			}
			matched = matched && !negated
			break
		}
		met, err := l.criterion(name, matched, negated)
		if err != nil {
			return err
		}
		matched = matched && met != negated
	}
	l.active = matched && !l.never
	return nil
}

// withEquals are the criteria that may take their argument behind a =.
const withEquals = " host originalhost user localuser localnetwork version tagged command exec "

// criterion reports whether a criterion is met. soFar tells whether all criteria before are: if not, no command runs.
func (l *line) criterion(word string, soFar, negated bool) (met bool, err error) {
	name := syntax.Lower(word)
	if name == "canonical" || name == "final" {
		l.wantFinal = l.wantFinal || name == "final" && !negated && !l.final
		return l.final, nil
	}
	// Sessiontype is missing from the list in OpenSSH, too.
	before, arg, ok := strings.Cut(word, "=")
	if ok && strings.Contains(withEquals, " "+syntax.Lower(before)+" ") {
		name = syntax.Lower(before)
	} else if arg, ok = l.next(); !ok {
		return false, errors.New("criterion " + syntax.Quote(name) + " has no argument")
	}
	if strings.HasPrefix(arg, "#") || arg == "" && name != "tagged" && name != "command" {
		return false, errors.New("criterion " + syntax.Quote(name) + " has no argument")
	}
	switch name {
	case "host":
		return syntax.MatchHost(l.currentHost(), arg), nil
	case "originalhost":
		return syntax.MatchHost(l.original, arg), nil
	case "user":
		return syntax.MatchList(cmp.Or(l.config.User, l.local.User), arg) == 1, nil
	case "localuser":
		return syntax.MatchList(l.local.User, arg) == 1, nil
	case "localnetwork":
		return l.onNetwork(arg)
	case "version":
		return syntax.MatchList(cmp.Or(l.Version, DefaultVersion), arg) == 1, nil
	case "tagged":
		return matchOptional(l.config.Tag, arg), nil
	case "command":
		return matchOptional(l.Command, arg), nil
	case "sessiontype":
		return syntax.MatchList(l.sessionType(), arg) == 1, nil
	case "exec":
		return l.exec(arg, soFar)
	}
	return false, errors.New("criterion " + syntax.Quote(name) + " is not known")
}

// matchOptional is matchList for a text that may be empty: an empty argument matches an empty text only.
func matchOptional(text, arg string) bool {
	if text == "" {
		return arg == ""
	}
	return syntax.MatchList(text, arg) == 1
}

// sessionType returns what the session is for, from SessionType and the command.
func (l *line) sessionType() string {
	switch {
	case l.config.SessionType != "default":
		return string(l.config.SessionType)
	case l.Command != "":
		return "exec"
	}
	return "shell"
}

// exec runs the command of a criterion through Loader.Exec.
func (l *line) exec(arg string, soFar bool) (bool, error) {
	// The tokens are checked even when the command does not run.
	command, _, err := syntax.Expand(arg, l.tokens(), nil)
	if err != nil || !soFar || l.never {
		return false, err
	}
	// To skip the block without a word would change the meaning of the file.
	if l.Exec == nil {
		return false, errors.New("no function for exec is given: set Loader.Exec")
	}
	matched, err := l.Exec(l.ctx, command)
	if ended := ctxerr.Of(l.ctx); ended != nil {
		return false, ended
	}
	if err != nil {
		return false, fmt.Errorf("command %s: %w", syntax.Quote(command), err)
	}
	return matched, nil
}

// onNetwork reports whether the machine has an address in one of the networks.
func (l *line) onNetwork(list string) (bool, error) {
	networks, err := syntax.ParseNetworks(list)
	if err != nil {
		return false, err
	}
	addresses := l.Addresses
	if addresses == nil {
		addresses = system.Addresses
	}
	addrs, err := addresses()
	if err != nil {
		return false, nil // OpenSSH takes a machine with unknown interfaces for one without
	}
	for _, addr := range addrs {
		for _, network := range networks {
			if network.Contains(addr.Unmap().WithZone("")) {
				return true, nil
			}
		}
	}
	return false, nil
}

// Shell runs a command as OpenSSH does for Match exec: by the user's shell, without input, and reports whether the exit
// status is 0. Shell is for Loader.Exec.
func Shell(ctx context.Context, command string) (bool, error) {
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("SHELL"), "/bin/sh"), "-c", command)
	err := cmd.Run()
	if ended := ctxerr.Of(ctx); ended != nil {
		return false, ended
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return false, nil
	}
	return err == nil, err
}
