package sshconfig

import (
	"cmp"
	"context"
	"os"
	"os/user"
)

// Local describes the local machine and the local user.
type Local struct {
	User string // %u and Match localuser
	Home string // %d and ~
	UID  string // %i
	Host string // %l, and %L up to the first dot
}

// fill completes l from the system, where OpenSSH asks the password file and not the environment.
func (l Local) fill() (Local, error) {
	if l.User == "" || l.Home == "" || l.UID == "" {
		u, err := user.Current()
		if err != nil {
			return l, errorf("local user: %w", err)
		}
		l.User, l.Home, l.UID = cmp.Or(l.User, u.Username), cmp.Or(l.Home, u.HomeDir), cmp.Or(l.UID, u.Uid)
	}
	if l.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			return l, errorf("name of the local machine: %w", err)
		}
		l.Host = host
	}
	return l, nil
}

// state is a Load under way.
type state struct {
	*Loader
	ctx    context.Context
	config *Config
	local  Local
	host   string // the host for Host and Match; canonical in the final pass
	// original is the host of the destination.
	original  string
	givenUser bool // the destination has the user: no tokens
	final     bool // the final pass, after canonicalisation
	wantFinal bool // a Match final or CanonicalizeHostname asks for the final pass
	files     int  // opened in this pass
	size      int  // bytes read in this pass
}

// newState prepares a Load: the facts about the machine, and a Config with the defaults.
func newState(ctx context.Context, l *Loader) (*state, error) {
	local, err := l.Local.fill()
	if err != nil {
		return nil, err
	}
	s := &state{Loader: l, ctx: ctx, local: local, config: &Config{origins: make(map[string][]origin)}}
	s.config.expansion = expansion{local: local, getenv: os.LookupEnv}
	if l.Getenv != nil {
		s.config.getenv = l.Getenv
	}
	setDefaults(s.config)
	s.config.ExitOnForwardFailure, s.config.ClearAllForwardings = l.StdioForward, l.StdioForward
	return s, nil
}

// claim records the place that sets a keyword. claim is false when an earlier place has set the keyword.
func (s *state) claim(name string, at origin) bool {
	if s.isSet(name) {
		return false
	}
	s.config.origins[name] = []origin{at}
	return true
}

// isSet reports whether a place has set a keyword.
func (s *state) isSet(name string) bool { return s.config.origins[name] != nil }

// origin is the place of a value: a line, or Loader.Options and the destination with an empty file.
type origin struct {
	file string
	line int
}
