package userauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPasswordExpired is wrapped by the error of a login whose password the
// server knows but wants replaced, RFC 4252 section 8.
var ErrPasswordExpired = errors.New("userauth: the password has expired")

// These errors say why an attempt has no verdict.
var (
	errUnfinished = errors.New("userauth: unfinished")
	errNotAllowed = errors.New("userauth: refused: the server does not allow the method at this point")
	errNotOffered = fmt.Errorf("%w: the server does not allow the method", ErrSkip)
	errUsed       = fmt.Errorf("%w: already used", ErrSkip)
)

// maxListed bounds each list in the text of an Error.
const maxListed = 12

// Error says why a user could not be authenticated. The text is one line that
// names methods, key types, fingerprints and the server's prompts, and never a
// secret.
type Error struct {
	User    string
	Tried   []Attempt // in order, with the methods and keys that were passed over
	Allowed []string  // the methods the server allowed last, nil when it never said
	Err     error     // why the attempts ended early, nil when every method had its turn

	// Missing are the methods of Allowed for which no method was configured.
	Missing []string

	// Untried are the keys and methods whose turn never came, because Err came
	// first. Only Method and Key are set.
	Untried []Attempt

	// Refusals is how many requests the server has answered with a failure.
	// OpenSSH by default ends the connection at the sixth.
	Refusals int

	// TooManyFailures says that the server has ended the connection for too many
	// failures and has said so. The right key first, or fewer keys, may help.
	TooManyFailures bool

	// Unanswered is how many requests or messages were still under way.
	Unanswered int

	// ProbesBrokeOff says that the conversation broke off in a flight of probes,
	// after the server had accepted a key: the server allows fewer failures than
	// [Config].Probes counts on. A new connection without Probes may succeed.
	ProbesBrokeOff bool
}

// failure returns the error of the whole login.
func (l *login) failure(err error) *Error {
	e := &Error{
		User: l.config.User, Tried: l.tried, Allowed: l.allowed, Err: err,
		Refusals: l.refusals, Unanswered: l.unanswered, ProbesBrokeOff: l.probesBrokeOff,
	}
	for _, name := range l.allowed {
		if !slices.ContainsFunc(l.exchanges, func(x *Exchange) bool { return slices.Contains(x.names, name) }) {
			e.Missing = append(e.Missing, name)
		}
	}
	if err == nil {
		return e
	}
	// Only the text tells: the reason code of OpenSSH is "protocol error".
	e.TooManyFailures = l.refusals+l.unanswered > 0 && strings.Contains(strings.ToLower(err.Error()), "too many authentication failures")
	for _, x := range slices.Concat(l.exchanges, l.delegated) {
		e.Untried = append(e.Untried, x.untried()...)
	}
	return e
}

// Error returns one line.
func (e *Error) Error() string {
	parts := results(e.Tried)
	if len(e.Untried) > 0 {
		parts = append(parts, "never tried: "+subjects(e.Untried))
	}
	if e.Allowed != nil {
		parts = append(parts, e.allows())
	}
	if e.Err != nil {
		parts = append(parts, e.end())
	}
	if len(parts) == 0 {
		parts = []string{"nothing was tried"}
	}
	return fmt.Sprintf("userauth: user %q not authenticated: %s", clip(e.User), strings.Join(parts, "; "))
}

// allows names the methods that the server would take.
func (e *Error) allows() string {
	if len(e.Allowed) == 0 {
		return "the server allows no method"
	}
	s := fmt.Sprintf("the server allows %q", clip(strings.Join(e.Allowed, ",")))
	switch len(e.Missing) {
	case 0:
		return s
	case len(e.Allowed):
		return s + " (none is configured)"
	}
	return s + fmt.Sprintf(" (not configured: %q)", clip(strings.Join(e.Missing, ",")))
}

// end says what ended the login early.
func (e *Error) end() string {
	s := "ended by " + reason(e.Err)
	if !e.TooManyFailures {
		if e.Refusals > 0 {
			s += " after " + counted(e.Refusals, "refusal")
		}
		return s
	}
	// The end of the connection took the place of the last refusal. A first
	// request of the method "none" is not counted by OpenSSH.
	refusals := e.Refusals + 1
	first := slices.IndexFunc(e.Tried, func(a Attempt) bool { return !errors.Is(a.Err, ErrSkip) })
	if first >= 0 && e.Tried[first].Method == methodNone && e.Tried[first].Err == nil {
		refusals--
	}
	s += " after " + counted(refusals, "refusal") + ", the server's limit (MaxAuthTries)"
	if slices.ContainsFunc(e.Untried, func(a Attempt) bool { return a.Key != nil }) {
		s += ": offer the right key first, or no other (IdentitiesOnly)"
	}
	return s
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// results describes attempts. Attempts of one method that ended alike share a
// line.
func results(attempts []Attempt) (lines []string) {
	for i := 0; i < len(attempts); {
		if len(lines) == maxListed {
			return append(lines, fmt.Sprintf("and %d more", len(attempts)-i))
		}
		first, same := attempts[i], i+1
		for same < len(attempts) && attempts[same].Method == first.Method && attempts[same].result() == first.result() {
			same++
		}
		line := subjects(attempts[i:same]) + ": " + first.result()
		if n := same - i; n > 1 && first.Key == nil {
			line += fmt.Sprintf(", %d times", n)
		}
		lines = append(lines, line)
		i = same
	}
	return lines
}

// subjects names offers, and a method that stays the same once.
func subjects(attempts []Attempt) string {
	var names []string
	for i, a := range attempts {
		name := a.subject()
		if i > 0 && name == attempts[i-1].subject() {
			continue
		}
		if len(names) == maxListed {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(attempts)-i)
		}
		if i > 0 && a.Method == attempts[i-1].Method {
			name = strings.TrimPrefix(name, a.Method+" ")
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// Unwrap returns Err and the errors of the attempts. Errors that wrap [ErrSkip]
// are left out: a method that returns the error of another login does not ask to
// be passed over.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, a := range e.Tried {
		if a.Err != nil && !errors.Is(a.Err, ErrSkip) {
			errs = append(errs, a.Err)
		}
	}
	return errs
}

// methodError is an error of a method's Try.
type methodError struct {
	method string
	err    error
}

func (e *methodError) Error() string {
	return "userauth: " + e.method + ": " + strings.TrimPrefix(e.err.Error(), "userauth: ")
}

func (e *methodError) Unwrap() error { return e.err }

// reason makes an error fit for the line of an Error or an Attempt. The prefix of
// this package is left out, because the line of an Error begins with it.
func reason(err error) string {
	return flat(clean(strings.ReplaceAll(err.Error(), "userauth: ", ""), maxReason))
}

// ProtocolError reports a server that broke the rules of RFC 4252 or of a
// method. A ProtocolError ends the login, unless a single key is concerned.
type ProtocolError struct {
	Detail string
}

// Error returns the detail with a prefix.
func (e *ProtocolError) Error() string { return "userauth: protocol error: " + e.Detail }

// protocolErrorf returns a ProtocolError. The caller clips peer text in args.
func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Detail: fmt.Sprintf(format, args...)}
}
