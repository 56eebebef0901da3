package userauth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// ErrSkip is wrapped by the error of a [Method] that has nothing, or nothing
// more, to offer. Authentication goes on with the next method.
var ErrSkip = errors.New("skipped")

// Method is one way to prove who the user is. A Method holds no state of a
// login, which belongs in [Exchange].State, and so may serve any number of
// logins at once.
//
// One that can take the place of another where the server does not allow that
// also has the method Names() []string: its names in order of preference, Name
// first. It has its turn under the first of them that the server allows, which
// [Exchange].Name returns. A name for which the [Config] has a method anyway is
// not taken.
type Method interface {
	// Name returns the name of the method as on the wire. One that makes no
	// requests of its own but gives turns to others, see [Exchange.Delegate],
	// returns "" and has its turn whatever the server allows.
	Name() string

	// Try makes its requests through x and returns the server's last answer.
	// It is called again after a partial success, perhaps its own, and should
	// then not repeat what the server has already judged. A Try that returns
	// an error wrapping [ErrSkip] is passed over; any other error ends the
	// authentication. Try returns soon after ctx has ended; at the latest, that is at the
	// end of the login.
	Try(ctx context.Context, x *Exchange) (Reply, error)
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
// A Failure that does not allow the very method that failed is no judgement
// on what was offered: the method was not wanted at this point.
func (r Reply) Allows(method string) bool { return slices.Contains(r.Allowed, method) }

// number returns the number of a method's own message, 0 for a verdict.
func (r Reply) number() byte {
	if r.Status != Message || len(r.Packet) == 0 {
		return 0
	}
	return r.Packet[0]
}

// Attempt is one thing that was offered to the server, or was not and why.
type Attempt struct {
	Method string        // as on the wire
	Key    ssh.PublicKey // the key offered, nil for methods without one
	Prompt string        // what the server asked for, on one line and cut at 200 bytes
	Status Status        // the server's verdict when Err is nil
	Err    error         // why there is no verdict; wraps ErrSkip when nothing was offered

	// Trivial says that nothing was sent which only the user has: no password,
	// no signature, no answer to a prompt.
	Trivial bool
}

// String describes the attempt on one line.
func (a Attempt) String() string { return a.subject() + ": " + a.outcome() }

// subject says what was offered.
func (a Attempt) subject() string {
	s := a.Method
	if a.Key != nil {
		s += " " + KeyName(a.Key)
	}
	if a.Prompt != "" {
		s += fmt.Sprintf(" %q", a.Prompt)
	}
	return s
}

// outcome says what became of it.
func (a Attempt) outcome() string {
	if a.Err != nil {
		return reason(a.Err)
	}
	if cert := certificate(a.Key); cert != nil && a.Status == Failure {
		return a.Status.String() + ": " + describe(cert)
	}
	return a.Status.String()
}

// KeyName returns the type of a key and its SHA-256 fingerprint, such as
// "ssh-ed25519 SHA256:…", and "" for nil. Of a certificate, the type is its own
// and the fingerprint that of the key in it, which is the one that other
// programs show: a certificate that is renewed keeps its name.
func KeyName(key ssh.PublicKey) string {
	if key == nil {
		return ""
	}
	name := oneLine(key.Type()) + " "
	if cert := certificate(key); cert != nil {
		return name + ssh.FingerprintSHA256(cert.Key)
	}
	return name + ssh.FingerprintSHA256(key)
}

// None asks for access without any proof, RFC 4252 section 5.2. Servers refuse
// it and say which methods they allow, so it costs a round trip; it makes sense
// as the first method, before one that would ask a person for a secret which
// the server might not want.
func None() Method { return none{} }

type none struct{}

func (none) Name() string { return methodNone }

func (none) Try(_ context.Context, x *Exchange) (Reply, error) {
	if x.State != nil {
		return Reply{}, errUsed
	}
	x.State = true
	reply, err := x.Request(nil)
	x.Record(outcome(x, Attempt{Trivial: true}, reply, err))
	return reply, err
}
