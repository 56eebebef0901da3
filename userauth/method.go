package userauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrSkip is wrapped by the error of a [Method] that has nothing, or nothing
// more, to offer. Authentication goes on with the next method.
var ErrSkip = errors.New("userauth: skipped")

// Method is a way to prove who the user is. The state of a login belongs in
// [Exchange].State, so that a Method serves any number of logins at once. A
// method that can stand in for another is also a [MultiNameMethod].
type Method interface {
	// Name returns the name of the method as on the wire. "" is for a method that
	// only gives turns to others, see [Exchange.Delegate]: such a method has its
	// turn whatever the server allows.
	Name() string

	// Try makes requests through x and returns the server's last answer. Try is
	// called again after a partial success, perhaps the method's own, and should
	// then not repeat an offer that the server has judged. An error that wraps
	// [ErrSkip] passes the method over; any other error ends the login. ctx ends
	// with the login at the latest; Try returns soon after.
	Try(ctx context.Context, x *Exchange) (Reply, error)
}

// MultiNameMethod is a [Method] that can take the place of another method where
// the server does not allow its first name. The turn goes to the first name that
// the server allows; [Exchange].Name returns that name. A name for which the
// [Config] has a method anyway is left to that method.
type MultiNameMethod interface {
	Method

	// Names returns the names in order of preference, Name first.
	Names() []string
}

// Status is the kind of a server's answer.
type Status int

const (
	Failure        Status = iota // refused
	PartialSuccess               // accepted, and more is wanted
	Success                      // access granted
	Message                      // a message of the method's own
)

// String returns a word or two for messages.
func (s Status) String() string {
	switch s {
	case Failure:
		return "refused"
	case PartialSuccess:
		return "partial success"
	case Success:
		return "success"
	case Message:
		return "message"
	}
	return fmt.Sprintf("status %d", int(s))
}

// Reply is a server's answer to a request or a message.
type Reply struct {
	Status  Status
	Allowed []string // the methods that can continue, after Failure and PartialSuccess
	Packet  []byte   // the whole message, number first, when Status is Message
}

// Allows reports whether the server named method among those that can continue.
// A Failure that does not allow the method of the request does not judge the
// offer: the server did not want the method at this point.
func (r Reply) Allows(method string) bool { return slices.Contains(r.Allowed, method) }

// number returns the number of a method's own message, 0 for a verdict.
func (r Reply) number() byte {
	if r.Status != Message || len(r.Packet) == 0 {
		return 0
	}
	return r.Packet[0]
}
