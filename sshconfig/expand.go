package sshconfig

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // %C is defined as SHA-1, and names a socket
	"encoding/hex"
	"errors"
	"maps"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// expansion is the part of a Config that expands text.
type expansion struct {
	local  Local
	getenv syntax.Getenv
}

// tilde replaces ~ and ~user at the begin of a path. An unknown user leaves the path as written.
func (s *state) tilde(name string) string {
	if path, err := s.config.tilde(name); err == nil {
		return path
	}
	return name
}

// tilde is state.tilde with an error for an unknown user.
func (e *expansion) tilde(name string) (string, error) {
	after, ok := strings.CutPrefix(name, "~")
	if !ok {
		return name, nil
	}
	account, path, _ := strings.Cut(filepath.ToSlash(after), "/")
	home := e.local.Home
	if account != "" {
		u, err := user.Lookup(account)
		if err != nil {
			return "", errors.New("home directory of " + syntax.Quote(account) + " is not known")
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(path, "/"), nil
}

// tokens returns the tokens for Match exec and Include, from the values set so far.
func (s *state) tokens() map[byte]string {
	host := s.currentHost()
	alias := host
	if s.config.HostKeyAlias != "" {
		alias = s.config.HostKeyAlias
	}
	return s.tokensFor(host, alias)
}

// tokensFor returns the tokens for a host and an alias of the host's key. %C is a hash of the others, and names
// sockets.
func (s *state) tokensFor(host, alias string) map[byte]string {
	user := s.config.User
	if user == "" {
		user = s.local.User
	}
	short, _, _ := strings.Cut(s.local.Host, ".")
	jump, port := s.config.jumpHost(), strconv.Itoa(s.config.Port)
	// The hash tells connections apart; nothing secret is in it.
	hash := sha1.Sum([]byte(s.local.Host + host + port + user + jump))
	return map[byte]string{
		'C': hex.EncodeToString(hash[:]), 'L': short, 'd': s.local.Home, 'h': host, 'k': alias, 'l': s.local.Host,
		'n': s.original, 'p': port, 'r': user, 'u': s.local.User, 'i': s.local.UID, 'j': jump,
	}
}

// currentHost is the host so far, with HostName applied. A mistake in HostName is reported later.
func (s *state) currentHost() string {
	if s.final || s.config.HostName == "" {
		return s.host
	}
	host, _, err := syntax.Expand(s.config.HostName, map[byte]string{'h': s.host}, nil)
	if err != nil {
		return s.host
	}
	return host
}

// expandValues expands the fields that ssh -G shows expanded.
func (s *state) expandValues() error {
	c := s.config
	c.tokens = s.tokensFor(s.host, cmp.Or(c.HostKeyAlias, s.original))
	if s.isSet("user") && !s.givenUser {
		// The user is a part of %r and %C.
		tokens := maps.Clone(c.tokens)
		delete(tokens, 'r')
		delete(tokens, 'C')
		user, err := s.expandFully("user", c.User, tokens, c.getenv)
		if err != nil {
			return err
		}
		// OpenSSH trusts a literal user of a file, and no user from a variable.
		if user != c.User && !syntax.ValidUser(user) {
			return s.failAt("user", 0, errors.New("user "+syntax.Quote(user)+" has characters with a meaning in a shell"))
		}
		c.User = user
		// %r and %C hold the expanded user from here on.
		c.tokens = s.tokensFor(s.host, c.tokens['k'])
	}
	var err error
	for _, f := range []struct {
		name  string
		field *string
		tilde bool
		env   syntax.Getenv
	}{
		{"remotecommand", &c.RemoteCommand, false, nil},
		{"controlpath", &c.ControlPath, true, c.getenv},
		{"identityagent", &c.IdentityAgent, true, c.getenv},
		{"forwardagent", &c.ForwardAgentPath, true, c.getenv},
		{"versionaddendum", &c.VersionAddendum, false, c.getenv},
	} {
		if *f.field, err = s.expandField(f.name, *f.field, f.tilde, f.env); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		list []string
	}{{"revokedhostkeys", c.RevokedHostKeys}, {"userknownhostsfile", c.UserKnownHostsFile}} {
		for i := range f.list {
			if f.list[i], err = s.expandField(f.name, f.list[i], true, c.getenv); err != nil {
				return err
			}
		}
	}
	for i, v := range c.SetEnv {
		name, value, _ := strings.Cut(v, "=")
		if value, err = s.expandField("setenv", value, false, c.getenv); err != nil {
			return err
		}
		c.SetEnv[i] = name + "=" + value
	}
	return s.expandForwards()
}

// expandForwards replaces the tokens in the sockets of forwards. Ports and hosts have none.
func (s *state) expandForwards() (err error) {
	for _, list := range []struct {
		name     string
		forwards []Forward
	}{
		{"localforward", s.config.LocalForward}, {"dynamicforward", s.config.DynamicForward},
		{"remoteforward", s.config.RemoteForward},
	} {
		for i := range list.forwards {
			f := &list.forwards[i]
			for _, path := range []*string{&f.ListenPath, &f.ConnectPath} {
				if *path, err = s.expandField(list.name, *path, false, nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// expandField replaces ~, tokens and variables in a value, and fails with the place of the keyword.
func (s *state) expandField(name, text string, tilde bool, getenv syntax.Getenv) (string, error) {
	if tilde {
		path, err := s.config.tilde(text)
		if err != nil {
			return "", s.failAt(name, 0, err)
		}
		text = path
	}
	return s.expandFully(name, text, s.config.tokens, getenv)
}

// expandFully is expandField without ~. A variable without a value is an error.
func (s *state) expandFully(name, text string, tokens map[byte]string, getenv syntax.Getenv) (string, error) {
	result, ok, err := syntax.Expand(text, tokens, getenv)
	if err == nil && !ok {
		err = syntax.ErrUnset(text)
	}
	if err != nil {
		return "", s.failAt(name, 0, err)
	}
	return result, nil
}

// failAt returns an error with the place of a keyword's value.
func (s *state) failAt(name string, i int, err error) error {
	at := s.config.originOf(name, i)
	e := &Error{File: at.file, Line: at.line, Keyword: keywordByName[name].name, Err: err}
	if at.file == "" {
		e.File = "command-line"
	}
	return e
}

// Expand returns the values of a keyword as OpenSSH uses them, with ~, tokens and ${VARIABLE} replaced where OpenSSH does.
// A Config holds CertificateFile, IdentityFile, KnownHostsCommand, LocalCommand, ProxyCommand and SecurityKeyProvider as
// written; Expand is for them. IdentityAgent gives the path of the socket, from the environment if need be, or nothing for
// none. KnownHostsCommand gives the arguments, and takes the extra tokens 'H', 'I', 't', 'f' and 'K'; LocalCommand takes
// 'T'. Every other keyword gives the values of ssh -G. A value of none is left out.
func (c *Config) Expand(keyword string, extra map[byte]string) ([]string, error) {
	k := keywordByName[syntax.Lower(keyword)]
	if k == nil || k.show == nil {
		return nil, errorf("keyword %s has no value", syntax.Quote(keyword))
	}
	tokens, getenv, values := c.tokens, c.getenv, k.show(c)
	switch k.name {
	case "CertificateFile", "IdentityFile":
		for i, name := range values {
			var err error
			if values[i], err = c.tilde(name); err != nil {
				return nil, errorf("%s: %w", k.name, err)
			}
		}
	case "KnownHostsCommand":
		tokens = withTokens(tokens, extra, "HItfK")
		values, _ = syntax.SplitArgs(c.KnownHostsCommand, false) // Load has found every quote paired
	case "LocalCommand":
		tokens, getenv = withTokens(tokens, extra, "T"), nil
	case "ProxyCommand":
		tokens, getenv = withTokens(nil, tokens, "hknpr"), nil
	case "SecurityKeyProvider":
		return c.fromVariable(c.SecurityKeyProvider), nil
	case "IdentityAgent":
		return c.fromVariable(cmp.Or(c.IdentityAgent, "SSH_AUTH_SOCK")), nil
	default:
		return values, nil
	}
	return c.expandEach(k, values, tokens, getenv)
}

// expandEach replaces tokens in the values of a keyword, and leaves out a value of none.
func (c *Config) expandEach(k *keyword, values []string, tokens map[byte]string, getenv syntax.Getenv) ([]string, error) {
	var expanded []string
	for _, value := range values {
		if strings.EqualFold(value, "none") {
			continue
		}
		text, ok, err := syntax.Expand(value, tokens, getenv)
		if err == nil && !ok {
			err = syntax.ErrUnset(value)
		}
		if err != nil {
			return nil, errorf("%s: %w", k.name, err)
		}
		expanded = append(expanded, text)
	}
	return expanded, nil
}

// fromVariable returns a path, or the value of the environment variable that path names as $NAME. An unset variable and
// none give no value.
func (c *Config) fromVariable(path string) []string {
	// The old form $NAME takes the whole value; ${NAME} is replaced already.
	name, isVariable := strings.CutPrefix(path, "$")
	if path == "SSH_AUTH_SOCK" {
		name, isVariable = path, true
	}
	if isVariable && name != "" {
		path, _ = c.getenv(name)
	}
	if path == "" || path == "none" {
		return nil
	}
	return []string{path}
}

// withTokens returns base with the tokens of extra whose letter is in allowed.
func withTokens(base, extra map[byte]string, allowed string) map[byte]string {
	tokens := maps.Clone(base)
	if tokens == nil {
		tokens = make(map[byte]string)
	}
	for letter, value := range extra {
		if strings.IndexByte(allowed, letter) >= 0 {
			tokens[letter] = value
		}
	}
	return tokens
}
