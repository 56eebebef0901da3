package userauth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// These bounds limit the names on the wire.
const (
	maxUserBytes = 1024
	maxNameBytes = 64 // RFC 4251 section 6
)

// Config says who logs in and how.
type Config struct {
	// User is the name on the server: 1 to 1024 bytes of UTF-8 without NUL.
	User string

	// Methods are tried in order, and again from the top after each partial
	// success. At least one is required. Concurrent logins may share a Method.
	Methods []Method

	// Banner, unless nil, is called with each text that the server wants shown
	// before login, RFC 4252 section 5.4, without control characters other than
	// newline and tab. A text is cut at 16 KiB; texts after the 32nd, and bytes
	// after 64 KiB, are dropped. Authentication waits for Banner.
	Banner func(message string)

	// Trace, unless nil, is called with each attempt when its result is known.
	// A server may grant access for fewer proofs than the methods could give.
	Trace func(attempt Attempt)

	// Probes is how many requests that only ask about a key may be under way at
	// once. Set Probes only for servers that answer in order, as RFC 4252 section
	// 5.1 demands. No number of Probes reaches OpenSSH's default limit of 6
	// refusals; see [Error].ProbesBrokeOff for servers with a lower limit. 0 and
	// negative numbers mean 1.
	Probes int

	// LastKey is the [KeyName] of the key that let the user in last time. The
	// method that has the key offers it first, with a signature at once unless
	// the signature needs a person. A LastKey that no method has is ignored.
	LastKey string

	// Early, unless nil, has packets to leave behind a request.
	Early *Early

	// WaitService makes the first request wait for the server's acceptance of
	// the service, at the cost of a round trip, if the transport is a
	// [ServiceWaiter]. Servers on libssh before 0.11.3 need the wait.
	WaitService bool

	// RequireFactors is how many proofs the server must have accepted when
	// access is granted: passwords, signatures, answered prompts. With 1, access
	// without any proof is refused with [ErrTooFewFactors], because a session
	// that looks like a login could ask for a secret. 0 accepts every success:
	// the server's key was verified before, and some servers grant access to an
	// address alone. Negative numbers mean 0.
	RequireFactors int

	// Service starts after authentication. Empty means "ssh-connection".
	Service string
}

// check returns why the configuration cannot be used, apart from its methods.
func (c *Config) check() error {
	switch {
	case c.User == "":
		return errors.New("userauth: the user name is empty")
	case len(c.User) > maxUserBytes:
		return fmt.Errorf("userauth: user name of %d bytes is longer than %d", len(c.User), maxUserBytes)
	case !utf8.ValidString(c.User) || strings.ContainsRune(c.User, 0):
		return fmt.Errorf("userauth: user name %q is not UTF-8 without NUL", c.User)
	case !validName(c.Service):
		return fmt.Errorf("userauth: service name %q is not allowed by RFC 4251 section 6", clip(c.Service))
	case len(c.Methods) == 0:
		return errors.New("userauth: no authentication methods: set Methods (nacre.Config.Auth)")
	}
	return nil
}

// validName reports whether name may stand in a name-list.
func validName(name string) bool {
	outside := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }
	return name != "" && len(name) <= maxNameBytes && !strings.ContainsFunc(name, outside)
}
