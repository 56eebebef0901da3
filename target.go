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
		return fail("it names no user")
	case host == "":
		return fail("it names no host")
	case !safe(user, `\@`) || !safe(host, ":%"):
		// Names end up in logs, in known_hosts and perhaps in somebody's
		// command line; nothing that is right has these characters.
		return fail("control, quoting and shell characters are not allowed")
	case strings.ContainsAny(host, ":%") && !isIP(host):
		return fail("%q is not an IPv6 address", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fail("port %q is not a number from 1 to 65535", port)
	}
	return target{user: user, addr: net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// hidePassword blots out what may be a password, where none belongs.
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
	if strings.HasPrefix(s, "ssh://") {
		u, err := url.Parse(s)
		if err != nil {
			return "", "", "", errors.New("not a URI") // url's error would repeat it raw
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

// safe refuses what no user and no host is called. It follows the checks that
// OpenSSH's client makes of its arguments.
func safe(name, allowed string) bool {
	if strings.HasPrefix(name, "-") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) || !strings.ContainsRune(allowed, r) && strings.ContainsRune("'`\"$\\;&<>|(){}[]*?!,/:%@", r)
	})
}
