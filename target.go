package nacre

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// target is where to connect, and as whom.
type target struct {
	user string
	addr string // "host:port"
}

func (t target) String() string { return t.user + "@" + t.addr }

// SplitTarget splits a target of [Dial], for programs that stack the layers by
// hand: into the user, and the address "host:port" to dial and to look up. The
// errors are those of Dial; a target without a user is an error, too.
func SplitTarget(target string) (user, addr string, err error) {
	t, err := parseTarget(target)
	return t.user, t.addr, err
}

// parseTarget reads "[user@]host[:port]" or "ssh://[user@]host[:port]". An IPv6
// address with a port stands in brackets.
func parseTarget(s string) (target, error) {
	fail := func(format string, args ...any) (target, error) {
		return target{}, fmt.Errorf("nacre: target %q: %s", hidePassword(s), fmt.Sprintf(format, args...))
	}
	user, host, port, err := splitTarget(s)
	switch {
	case err != nil:
		return fail("%v", err)
	case user == "":
		return fail("the user is missing: write user@host[:port]")
	case host == "":
		return fail("the host is missing: write user@host[:port]")
	case strings.Contains(user, ":") && !isURI(s):
		return fail("a colon stands before the host: a password has no place here, and a user with a colon is written with %%3A in an ssh:// URI")
	// Names end up in logs, in known_hosts and perhaps in somebody's command line.
	// No right name has these characters.
	case !safe(user, unsafeUser) || strings.Contains(user, " -") || strings.TrimSpace(user) != user || strings.HasSuffix(user, `\`):
		return fail("the user %q is not allowed: %s", user, unsafeNames)
	case !safe(host, unsafeHost):
		return fail("the host %q is not allowed: %s", host, unsafeNames)
	case strings.ContainsAny(host, ":%") && !isIP(host):
		return fail("%q is not an IPv6 address", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fail("port %q is not a number from 1 to 65535", port)
	}
	return target{user: user, addr: net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// hidePassword blots out a possible password, which has no place in a target.
func hidePassword(s string) string {
	user, rest := s, ""
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, rest = s[:i], s[i:]
	}
	start := strings.Index(user, "://") + 1 // of a scheme the colon stays
	i := strings.IndexByte(user[start:], ':')
	if i < 0 || rest == "" {
		return s
	}
	return user[:start+i] + ":xxxxx" + rest
}

// splitTarget takes the target apart and fills in the port.
func splitTarget(s string) (user, host, port string, err error) {
	if isURI(s) {
		u, err := url.Parse(s)
		if err != nil {
			return "", "", "", errors.New("not a URI") // url's error would repeat the target raw
		}
		if _, has := u.User.Password(); has {
			return "", "", "", errors.New("a password does not belong in a URI")
		}
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return "", "", "", errors.New("only user, host and port belong in the URI")
		}
		return u.User.Username(), u.Hostname(), orPort22(u.Port()), nil
	}
	host = s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, host = s[:i], s[i+1:]
	}
	switch {
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		return user, host[1 : len(host)-1], "22", nil
	case strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "["):
		return user, host, "22", nil // a bare IPv6 address
	case strings.Contains(host, ":"):
		host, port, err = net.SplitHostPort(host)
		return user, host, port, err
	default:
		return user, host, "22", nil
	}
}

func isURI(s string) bool { return strings.HasPrefix(s, "ssh://") }

func orPort22(port string) string {
	if port == "" {
		return "22"
	}
	return port
}

// isIP knows zones too, unlike net.ParseIP.
func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// The characters that OpenSSH's client refuses in the name of a user, or would
// expand as tokens; and characters of no host's name.
const (
	unsafe     = "'`\";&<>|(){},"
	unsafeUser = unsafe + "%"
	unsafeHost = unsafe + " $\\[]*?!/@"
)

// unsafeNames tells the reader of an error how the names of users and hosts look.
const unsafeNames = `a name has no control, quoting or shell characters, no space at an end, and no "-" at the beginning of a word`

// safe reports whether a name is printable, has none of those characters, and
// cannot be taken for an option.
func safe(name, not string) bool {
	return !strings.HasPrefix(name, "-") && !strings.ContainsFunc(name, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(not, r)
	})
}
