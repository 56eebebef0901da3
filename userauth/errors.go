package userauth

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPasswordExpired is wrapped by the error of a login whose password the
// server knows but wants replaced, RFC 4252 section 8.
var ErrPasswordExpired = errors.New("the server demands a new password")

// Why an attempt has no verdict. Text that the caller sees is prefixed with the
// name of the package in [Error], which is the only way out for all of these.
var (
	errUnfinished = errors.New("unfinished")
	errNotAllowed = errors.New("not allowed by the server at this point")
	errUsed       = fmt.Errorf("%w: already used", ErrSkip)
)

// maxListed bounds the attempts that an error's text names.
const maxListed = 64

// Error says why a user could not be authenticated. Its text names methods, key
// types and fingerprints, and never a secret.
type Error struct {
	User    string
	Tried   []Attempt // in order, also what was passed over
	Allowed []string  // the methods the server allowed last, nil when it never said
	Err     error     // what ended the attempts early, nil when every method had its turn

	// Unanswered is how many requests or messages were under way whose answer
	// never came.
	Unanswered int

	// Interrupted says that the conversation broke off in the middle of a
	// flight of several requests, when the server had accepted one of them: it
	// allows fewer refusals than [Config].Probes counts on. On a new connection
	// without Probes that one gets its turn.
	Interrupted bool
}

// Error returns one line.
func (e *Error) Error() string {
	var parts []string
	for i, a := range e.Tried {
		if i == maxListed {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.Tried)-i))
			break
		}
		parts = append(parts, a.String())
	}
	if e.Allowed != nil {
		parts = append(parts, fmt.Sprintf("the server allows %q", cut(strings.Join(e.Allowed, ","))))
	}
	if e.Err != nil {
		parts = append(parts, "ended by "+oneLine(e.Err.Error()))
	}
	if len(parts) == 0 {
		parts = []string{"nothing was tried"}
	}
	return fmt.Sprintf("userauth: user %q not authenticated: %s", cut(e.User), strings.Join(parts, "; "))
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
