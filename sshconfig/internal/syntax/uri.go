package syntax

import (
	"errors"
	"net/url"
	"strings"
)

var (
	ErrNoURI  = errors.New("the text is no ssh:// address")
	errBadURI = errors.New("bad ssh:// address")
)

// ParseURI parses ssh://[user[;parameters]@]host[:port][/].
func ParseURI(text string) (user, host string, port int, err error) {
	rest, ok := strings.CutPrefix(text, "ssh://")
	if !ok {
		return "", "", 0, ErrNoURI
	}
	if before, after, ok := strings.Cut(rest, "@"); ok {
		before, _, _ = strings.Cut(before, ";")
		user, err = url.QueryUnescape(before)
		if err != nil || user == "" || strings.Contains(user, "\x00") {
			return "", "", 0, errBadURI
		}
		rest = after
	}
	host, rest, delimiter, err := CutHost(rest)
	if err != nil {
		return "", "", 0, errBadURI
	}
	if host, err = ParseDomain(host); err != nil {
		return "", "", 0, errBadURI
	}
	if delimiter == ':' && rest != "" {
		portText, path, _ := strings.Cut(rest, "/")
		if port, err = ParsePort(portText); err != nil || port == 0 {
			return "", "", 0, errBadURI
		}
		rest = path
	}
	if rest != "" {
		return "", "", 0, errBadURI // a path has no meaning for ssh
	}
	return user, host, port, nil
}

// CutHost splits host:rest or host/rest. Brackets around the host are taken off.
func CutHost(text string) (host, rest string, delimiter byte, err error) {
	end := strings.IndexAny(text, ":/")
	if strings.HasPrefix(text, "[") {
		if end = strings.IndexByte(text, ']') + 1; end == 0 {
			return "", "", 0, errBadURI
		}
	}
	if end < 0 || end == len(text) {
		host = text
	} else {
		host, rest, delimiter = text[:end], text[end+1:], text[end]
		if delimiter != ':' && delimiter != '/' {
			return "", "", 0, errBadURI
		}
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host, rest, delimiter, nil
}

// ValidHost reports whether a host of a destination may become part of a command, by OpenSSH's rules.
func ValidHost(host string) bool {
	return !strings.HasPrefix(host, "-") && !strings.ContainsAny(host, "'`\"$\\;&<>|(){},") &&
		!strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// ValidUser is validHost for user names, with blanks and a few more characters allowed.
func ValidUser(user string) bool {
	if strings.HasPrefix(user, "-") || strings.HasSuffix(user, `\`) || strings.ContainsAny(user, "'`\";&<>|(){}") {
		return false
	}
	for i := range len(user) {
		if user[i] < ' ' || user[i] == 0x7f || user[i] == ' ' && i+1 < len(user) && user[i+1] == '-' {
			return false
		}
	}
	return true
}

// ParseHop parses [user@]host[:port] or an ssh:// address.
func ParseHop(text string) (user, host string, port int, err error) {
	bad := errors.New("bad hop " + Quote(text))
	user, host, port, err = ParseURI(text)
	if err == ErrNoURI {
		rest := text
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			user, rest = text[:at], text[at+1:]
			if user == "" {
				return "", "", 0, bad
			}
		}
		var portText string
		var delimiter byte
		if host, portText, delimiter, err = CutHost(rest); delimiter == '/' {
			err = bad
		} else if err == nil && portText != "" {
			port, err = ParsePort(portText)
			if port == 0 {
				err = bad
			}
		}
	}
	if err != nil || host == "" {
		return "", "", 0, bad
	}
	return user, host, port, nil
}
