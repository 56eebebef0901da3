package userauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPasswordExpired is wrapped by the error of a login whose password the
// server knows but wants replaced, RFC 4252 section 8.
var ErrPasswordExpired = errors.New("the server demands a new password")

// Why an attempt has no verdict. Text that the caller sees is prefixed with the
// name of the package in [Error], which is the only way out for all of these.
var (
	errUnfinished = errors.New("unfinished")
	errNotAllowed = errors.New("refused, for the server does not allow it at this point")
	errNotOffered = fmt.Errorf("%w: the server does not offer it", ErrSkip)
	errUsed       = fmt.Errorf("%w: already used", ErrSkip)
)

// maxListed bounds the keys and methods that each list in an error's text has.
const maxListed = 12

// Error says why a user could not be authenticated. Its text is one line that
// names methods, key types and fingerprints and the server's prompts, and never
// a secret.
type Error struct {
	User    string
	Tried   []Attempt // in order, also what was passed over
	Allowed []string  // the methods the server allowed last, nil when it never said
	Err     error     // what ended the attempts early, nil when every method had its turn

	// Missing are those of Allowed for which no method was configured.
	Missing []string

	// Untried are the keys and the methods whose turn never came, because Err
	// came first. Only Method and Key are set.
	Untried []Attempt

	// Refusals is how many requests the server has answered with a failure. How
	// many more it bears it does not tell: OpenSSH five in all, by default, and
	// the sixth ends the connection.
	Refusals int

	// CutOff says that the server has ended the connection for too many
	// refusals, in so many words. The right key first, or fewer of them, may
	// help.
	CutOff bool

	// Unanswered is how many requests or messages were under way whose answer
	// never came.
	Unanswered int

	// Interrupted says that the conversation broke off in the middle of a
	// flight of several requests, when the server had accepted one of them: it
	// allows fewer refusals than [Config].Probes counts on. On a new connection
	// without Probes that one gets its turn.
	Interrupted bool
}

// failure returns the error of the whole login.
func (l *login) failure(err error) *Error {
	e := &Error{
		User: l.config.User, Tried: l.tried, Allowed: l.allowed, Err: err,
		Refusals: l.refusals, Unanswered: l.unanswered, Interrupted: l.cut,
	}
	for _, name := range l.allowed {
		if !slices.ContainsFunc(l.exchanges, func(x *Exchange) bool { return slices.Contains(x.names, name) }) {
			e.Missing = append(e.Missing, name)
		}
	}
	if err == nil {
		return e
	}
	// The text is all that tells this end from others: OpenSSH gives as the
	// reason that the protocol was broken.
	e.CutOff = l.refusals+l.unanswered > 0 && strings.Contains(strings.ToLower(err.Error()), "too many authentication failures")
	for _, x := range slices.Concat(l.exchanges, l.chosen) {
		e.Untried = append(e.Untried, x.untried()...)
	}
	return e
}

// untried returns what the method of x would still have offered.
func (x *Exchange) untried() (left []Attempt) {
	if o, ok := x.State.(*offering); ok {
		for _, k := range o.keys {
			if !slices.ContainsFunc(x.login.tried, k.isOf) {
				left = append(left, Attempt{Method: x.name, Key: k.key})
			}
		}
	} else if !x.recorded && x.name != "" {
		left = []Attempt{{Method: x.name}}
	}
	return left
}

// Error returns one line.
func (e *Error) Error() string {
	parts := outcomes(e.Tried)
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
	return fmt.Sprintf("userauth: user %q not authenticated: %s", cut(e.User), strings.Join(parts, "; "))
}

// allows says what the server would take.
func (e *Error) allows() string {
	if len(e.Allowed) == 0 {
		return "the server allows no method"
	}
	s := fmt.Sprintf("the server allows %q", cut(strings.Join(e.Allowed, ",")))
	switch len(e.Missing) {
	case 0:
		return s
	case len(e.Allowed):
		return s + " (nothing here is for that)"
	}
	return s + fmt.Sprintf(" (nothing here is for %q)", cut(strings.Join(e.Missing, ",")))
}

// end says what ended the login early.
func (e *Error) end() string {
	s := "ended by " + reason(e.Err)
	if !e.CutOff {
		if e.Refusals > 0 {
			s += " after " + counted(e.Refusals, "refusal")
		}
		return s
	}
	// The end of the connection took the place of the last one, and the method
	// "none" is free if it comes first.
	refusals := e.Refusals + 1
	first := slices.IndexFunc(e.Tried, func(a Attempt) bool { return !errors.Is(a.Err, ErrSkip) })
	if first >= 0 && e.Tried[first].Method == methodNone && e.Tried[first].Err == nil {
		refusals--
	}
	s += " after " + counted(refusals, "refusal") + ", which is its limit (MaxAuthTries)"
	if slices.ContainsFunc(e.Untried, func(a Attempt) bool { return a.Key != nil }) {
		s += ": offer it the right key first, or that one alone (IdentitiesOnly)"
	}
	return s
}

// counted returns a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// outcomes describes attempts, those of one method that ended alike together.
func outcomes(attempts []Attempt) (lines []string) {
	for i := 0; i < len(attempts); {
		if len(lines) == maxListed {
			return append(lines, fmt.Sprintf("and %d more", len(attempts)-i))
		}
		first, same := attempts[i], i+1
		for same < len(attempts) && attempts[same].Method == first.Method && attempts[same].outcome() == first.outcome() {
			same++
		}
		line := subjects(attempts[i:same]) + ": " + first.outcome()
		if n := same - i; n > 1 && first.Key == nil {
			line += fmt.Sprintf(", %d times", n)
		}
		lines = append(lines, line)
		i = same
	}
	return lines
}

// subjects names what was offered, the method once where it stays the same.
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

// Unwrap returns Err and the errors of the attempts. Those that wrap [ErrSkip]
// are left out, lest the error of a whole login, which a method of another one
// may return, read as a request to pass that method over.
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

// ProtocolError reports a server that broke the rules of RFC 4252 or of a
// method. Except where it concerns a single key, nothing more is sent.
type ProtocolError struct {
	Reason string
}

// Error returns the reason.
func (e *ProtocolError) Error() string { return "protocol error: " + e.Reason }

// protocolErrorf returns a ProtocolError. Peer text among args is cut by the
// caller.
func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}
