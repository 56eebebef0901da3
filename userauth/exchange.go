package userauth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Bounds on one login.
const (
	maxRequests     = 64
	maxFailureBytes = 8 << 10 // the whole message with its name-list
	maxFailureNames = 256
)

// login is one run of Authenticate. It belongs to that call's goroutine.
type login struct {
	t         Transport
	config    Config
	exchanges []*Exchange // one for each configured method

	requests int
	banners  bannerBudget
	allowed  []string // the server's last list, nil before the first
	tried    []Attempt
	granted  bool  // the server has said success
	err      error // the first failure of the conversation itself, after which nothing is sent

	last     Status // what the server said last in the current turn, Message aside
	answered bool   // whether it said anything
}

// fail ends the conversation with err, unless it has already ended.
func (l *login) fail(err error) error {
	if l.err == nil {
		l.err = err
	}
	return l.err
}

// failure returns the error of the whole login.
func (l *login) failure(err error) *Error {
	return &Error{User: l.config.User, Tried: l.tried, Allowed: l.allowed, Err: err}
}

// send sends packets and returns the server's answer.
func (l *login) send(packets ...[]byte) (Reply, error) {
	if l.err != nil {
		return Reply{}, l.err
	}
	if l.granted {
		return Reply{}, errors.New("the server has already granted access")
	}
	for _, p := range packets {
		if err := l.t.WritePacket(p); err != nil {
			return Reply{}, l.fail(err)
		}
	}
	for {
		packet, err := l.t.ReadPacket()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Reply{}, l.fail(err)
		}
		reply, done, err := l.receive(packet)
		if err != nil {
			return Reply{}, l.fail(err)
		}
		if done {
			return reply, nil
		}
	}
}

// receive takes one packet from the server. It is done unless that was a
// banner.
func (l *login) receive(packet []byte) (reply Reply, done bool, err error) {
	if len(packet) == 0 {
		return Reply{}, false, protocolErrorf("empty message")
	}
	switch number := packet[0]; {
	case number == msgUserAuthBanner:
		text, err := l.banners.take(packet)
		if err == nil && text != "" && l.config.Banner != nil {
			l.config.Banner(text)
		}
		return Reply{}, false, err
	case number == msgUserAuthSuccess:
		if len(packet) != 1 {
			return Reply{}, false, protocolErrorf("success message with %d bytes too many", len(packet)-1)
		}
		l.granted = true
		reply.Status = Success
	case number == msgUserAuthFailure:
		if reply, err = parseFailure(packet); err != nil {
			return Reply{}, false, err
		}
		l.allowed = reply.Allowed
		reply.Allowed = slices.Clone(reply.Allowed)
	case number >= msgMethodFirst && number <= msgMethodLast:
		return Reply{Status: Message, Packet: bytes.Clone(packet)}, true, nil
	default:
		return Reply{}, false, protocolErrorf("message %d during authentication", number)
	}
	l.last, l.answered = reply.Status, true
	return reply, true, nil
}

// parseFailure parses RFC 4252 section 5.1's message. Its list is never nil.
func parseFailure(packet []byte) (Reply, error) {
	if len(packet) > maxFailureBytes {
		return Reply{}, protocolErrorf("failure message of %d bytes, more than %d", len(packet), maxFailureBytes)
	}
	var msg userAuthFailureMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return Reply{}, protocolErrorf("malformed failure message")
	}
	if len(msg.Methods) > maxFailureNames {
		return Reply{}, protocolErrorf("failure message with %d methods, more than %d", len(msg.Methods), maxFailureNames)
	}
	reply := Reply{Status: Failure, Allowed: append([]string{}, msg.Methods...)}
	if msg.PartialSuccess {
		reply.Status = PartialSuccess
	}
	return reply, nil
}

// Exchange is the conversation of one method with the server. There is one for
// each method of a [Config], and it lasts for the whole of one [Authenticate].
// It belongs to the goroutine that Try runs on, and to no one after Authenticate
// has returned.
type Exchange struct {
	// State is for what the method wants to remember between two calls of its
	// Try. It is nil at first.
	State any

	login    *login
	method   Method
	name     string
	recorded bool // at least one attempt has been recorded
}

// User returns the name of the user.
func (x *Exchange) User() string { return x.login.config.User }

// SessionID returns a copy of the session identifier, RFC 4253 section 7.2.
func (x *Exchange) SessionID() []byte { return bytes.Clone(x.login.t.SessionID()) }

// Allowed returns the methods that the server said can continue, or nil when it
// has not said yet. A server that allows none gives an empty list.
func (x *Exchange) Allowed() []string { return slices.Clone(x.login.allowed) }

// Tried returns the attempts of this login so far, by whatever method.
func (x *Exchange) Tried() []Attempt { return slices.Clone(x.login.tried) }

// Extension returns a copy of the value of a server's RFC 8308 extension. The
// first request of a login leaves before the server's extensions have arrived.
func (x *Exchange) Extension(name string) (value []byte, ok bool) {
	value, ok = x.login.t.Extension(name)
	return bytes.Clone(value), ok
}

// Request sends an authentication request for this user and method, RFC 4252
// section 5, that ends with the method's own fields in payload. It waits for
// the server's answer. Banners are dealt with on the way. An error means that
// the conversation is over: the transport failed, the server broke the
// protocol, or 64 requests have been made.
func (x *Exchange) Request(payload []byte) (Reply, error) {
	l := x.login
	if l.requests == maxRequests {
		return Reply{}, l.fail(fmt.Errorf("the limit of %d requests", maxRequests))
	}
	l.requests++
	return l.send(x.request(payload))
}

// Send sends messages of the method's own, with a number from 60 to 79 in the
// first byte, and waits for the server's answer to the last of them as Request
// does. A method whose conversation the server can prolong bounds it itself.
func (x *Exchange) Send(packets ...[]byte) (Reply, error) {
	for _, p := range packets {
		if len(p) == 0 || p[0] < msgMethodFirst || p[0] > msgMethodLast {
			return Reply{}, fmt.Errorf("a method may send messages %d to %d only", msgMethodFirst, msgMethodLast)
		}
	}
	return x.login.send(packets...)
}

// SignedData returns what a signature in a request must cover, RFC 4252
// sections 7 and 9: the session identifier and the request up to the
// signature, which is to say that payload is what [Exchange.Request] will be
// given without the signature at its end.
func (x *Exchange) SignedData(payload []byte) []byte {
	return ssh.Marshal(signedDataMsg{SessionID: x.login.t.SessionID(), Request: x.request(payload)})
}

// request returns the whole authentication request.
func (x *Exchange) request(payload []byte) []byte {
	return ssh.Marshal(userAuthRequestMsg{
		User:    x.login.config.User,
		Service: x.login.config.Service,
		Method:  x.name,
		Payload: payload,
	})
}

// Record adds an attempt to those that [Error] and [Config].Trace report, for a
// method that makes several in one Try. For a Try that records none, one is
// recorded from the server's last answer. The name of the method is filled in.
func (x *Exchange) Record(a Attempt) {
	l := x.login
	a.Method = x.name
	switch {
	case l.err != nil && a.Err == nil:
		a.Err = errUnfinished
	case a.Err == nil && a.Status == Failure && l.allowed != nil &&
		x.name != methodNone && !slices.Contains(l.allowed, x.name):
		a.Err = errNotAllowed
	}
	x.recorded = true
	l.tried = append(l.tried, a)
	if l.config.Trace != nil {
		l.config.Trace(a)
	}
}
