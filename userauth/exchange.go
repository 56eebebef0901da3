package userauth

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Bounds on one login.
const (
	maxRequests     = 64
	maxRefusals     = 5       // one less than OpenSSH bears by default, its MaxAuthTries
	maxFailureBytes = 8 << 10 // the whole message with its name-list
	maxFailureNames = 256
)

// login is one run of Authenticate. It belongs to that call's goroutine.
type login struct {
	t         Transport
	config    Config
	exchanges []*Exchange // one for each configured method
	chosen    []*Exchange // and for each that another method gave a turn

	requests   int
	refusals   int  // answers that were failures
	unanswered int  // requests and messages under way
	cut        bool // the flight that failed had been accepted in part
	banners    bannerBudget
	allowed    []string // the server's last list, nil before the first
	tried      []Attempt
	granted    bool  // the server has said success
	wary       bool  // nothing has been answered since early packets were sent in vain
	err        error // the first failure of the conversation itself, after which nothing is sent

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

// admit counts requests that are about to be sent, if any more may be.
func (l *login) admit(requests int) error {
	switch {
	case l.err != nil:
		return l.err
	case l.granted:
		return errors.New("the server has already granted access")
	case l.requests+requests > maxRequests:
		return l.fail(fmt.Errorf("the limit of %d requests", maxRequests))
	}
	l.requests += requests
	return nil
}

// flight sends packets to which the server owes a number of answers, and
// returns these. None is missing, but after a success, when the server ignores
// the requests that are left (RFC 4252 section 5.1), and with an error.
func (l *login) flight(answers int, packets ...[]byte) (replies []Reply, err error) {
	l.unanswered = answers
	defer func() {
		if err != nil && l.wary {
			l.config.Early.Fate = Fatal
		}
	}()
	if err := l.write(packets); err != nil {
		return nil, l.fail(err)
	}
	for l.unanswered > 0 {
		reply, err := l.read()
		if err != nil {
			l.cut = slices.ContainsFunc(replies, func(r Reply) bool { return r.Status == Message })
			return replies, l.fail(err)
		}
		replies = append(replies, reply)
		l.unanswered--
		if l.granted {
			l.unanswered = 0
		}
	}
	l.wary = false
	return replies, nil
}

// write sends packets in one go, where the transport can.
func (l *login) write(packets [][]byte) error {
	if w, ok := l.t.(interface{ WritePackets(packets ...[]byte) error }); ok && len(packets) > 1 {
		return w.WritePackets(packets...)
	}
	for _, p := range packets {
		if err := l.t.WritePacket(p); err != nil {
			return err
		}
	}
	return nil
}

// read returns the server's next answer.
func (l *login) read() (Reply, error) {
	for {
		packet, err := l.t.ReadPacket()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Reply{}, err
		}
		reply, done, err := l.receive(packet)
		if done || err != nil {
			return reply, err
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
		if reply.Status == Failure {
			l.refusals++
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

	// Alias, unless empty, is the name that requests bear instead of Name. With
	// OpenSSH, publickey-hostbound-v00@openssh.com is allowed as publickey.
	Alias string

	login    *login
	method   Method
	names    []string // by which the method can have its turn, best first
	name     string   // by which it has it
	recorded bool     // at least one attempt has been recorded
}

// Name returns the name of the method that this is about: of those of a Method
// that has several, the one that the server allows.
func (x *Exchange) Name() string { return x.name }

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
//
// It is for requests that begin a conversation or ask a question. One that has
// the whole proof in it is sent with Prove.
func (x *Exchange) Request(payload []byte) (Reply, error) {
	return only(x.Requests(payload))
}

// Prove is Request for a payload with the whole proof in it, a password or a
// signature, so that success is the answer to hope for. Those are the requests
// that [Early] packets follow.
func (x *Exchange) Prove(payload []byte) (Reply, error) {
	l := x.login
	if err := x.admit(1); err != nil {
		return Reply{}, err
	}
	early, err := l.earlyPackets()
	if err != nil {
		return Reply{}, err
	}
	if len(early) == 0 {
		return only(l.flight(1, x.request(payload)))
	}
	return l.proveEarly(x.request(payload), early)
}

// Requests makes several requests in one flight and waits for the answers,
// which are in the order of the payloads. There are fewer of them when one is a
// success, since the server ignores what follows, and when there is an error.
// All count as if made by Request. It is not for requests that begin a
// conversation, which the next request would abort. [Exchange.Probes] says how
// many the server will bear.
func (x *Exchange) Requests(payloads ...[]byte) ([]Reply, error) {
	l := x.login
	if err := x.admit(len(payloads)); err != nil {
		return nil, err
	}
	packets := make([][]byte, len(payloads))
	for i, payload := range payloads {
		packets[i] = x.request(payload)
	}
	replies, err := l.flight(len(packets), packets...)
	partial := func(r Reply) bool { return r.Status == PartialSuccess }
	if !l.granted && slices.ContainsFunc(replies, partial) {
		// A later refusal in the same flight does not take it back.
		l.last = PartialSuccess
	}
	return replies, err
}

// Probes returns how many requests that will perhaps be refused a method may
// make in one flight now: as many as [Config].Probes allows, but none that
// could be the server's sixth refusal, and at least 1.
func (x *Exchange) Probes() int {
	return max(1, min(x.login.config.Probes, maxRefusals-x.login.refusals))
}

// LastKey returns [Config].LastKey.
func (x *Exchange) LastKey() string { return x.login.config.LastKey }

// Send sends messages of the method's own, with a number from 60 to 79 in the
// first byte, and waits for the server's answer to the last of them as Request
// does. Without packets it waits for one more message of the server's. A method
// whose conversation the server can prolong bounds it itself.
func (x *Exchange) Send(packets ...[]byte) (Reply, error) {
	if err := x.admitMessages(packets); err != nil {
		return Reply{}, err
	}
	return only(x.login.flight(1, packets...))
}

// Tell is Send for messages that the server does not answer.
func (x *Exchange) Tell(packets ...[]byte) error {
	if err := x.admitMessages(packets); err != nil {
		return err
	}
	_, err := x.login.flight(0, packets...)
	return err
}

// admitMessages checks messages of the method's own.
func (x *Exchange) admitMessages(packets [][]byte) error {
	for _, p := range packets {
		if len(p) == 0 || p[0] < msgMethodFirst || p[0] > msgMethodLast {
			return fmt.Errorf("a method may send messages %d to %d only", msgMethodFirst, msgMethodLast)
		}
	}
	return x.admit(0)
}

// admit is login.admit for a method that has a name.
func (x *Exchange) admit(requests int) error {
	if x.name == "" {
		return x.login.fail(errors.New("a request of a method without a name"))
	}
	return x.login.admit(requests)
}

// only returns the one reply that a flight has had.
func only(replies []Reply, err error) (Reply, error) {
	if err != nil {
		return Reply{}, err
	}
	return replies[0], nil
}

// SignedData returns what a signature in a request must cover, RFC 4252
// sections 7 and 9: the session identifier and the request up to the
// signature, which is to say that payload is what [Exchange.Prove] will be
// given without the signature at its end.
func (x *Exchange) SignedData(payload []byte) []byte {
	return ssh.Marshal(signedDataMsg{SessionID: x.login.t.SessionID(), Request: x.request(payload)})
}

// request returns the whole authentication request.
func (x *Exchange) request(payload []byte) []byte {
	return ssh.Marshal(userAuthRequestMsg{
		User:    x.login.config.User,
		Service: x.login.config.Service,
		Method:  cmp.Or(x.Alias, x.name),
		Payload: payload,
	})
}

// HostKeyProof returns the server's host key and its signature of the session
// identifier, in wire form, if the [Transport] has a method of that name and
// shape, and nil otherwise. It is what binds an agent to this session.
func (x *Exchange) HostKeyProof() (key ssh.PublicKey, signature []byte) {
	if t, ok := x.login.t.(interface {
		HostKeyProof() (ssh.PublicKey, []byte)
	}); ok {
		return t.HostKeyProof()
	}
	return nil, nil
}

// Record adds an attempt to those that [Error] and [Config].Trace report, for a
// method that makes several in one Try. For a Try that records none, one is
// recorded from the server's last answer. The name of the method is filled in,
// and the prompt is cut and cleaned.
func (x *Exchange) Record(a Attempt) {
	l := x.login
	a.Method, a.Prompt = x.name, oneLine(a.Prompt)
	x.recorded = true
	l.tried = append(l.tried, a)
	if l.config.Trace != nil {
		l.config.Trace(a)
	}
}
