package userauth

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Delegate gives another method a turn, with an [Exchange] of its own, and
// returns the result. The result is also Failure where m had nothing to offer or
// the server does not allow m; the attempt is recorded. An error ends the login.
func (x *Exchange) Delegate(ctx context.Context, m Method) (Reply, error) {
	if m == nil || m.Name() == "" {
		return Reply{}, errors.New("userauth: Delegate takes a method with a name")
	}
	l := x.login
	other, err := l.newExchange(m)
	if err != nil {
		return Reply{}, err
	}
	l.delegated = append(l.delegated, other)
	status, err := l.turns(ctx, other)
	if err != nil {
		return Reply{}, err
	}
	if !other.recorded {
		other.Record(Attempt{Err: errNotOffered})
	}
	return Reply{Status: status, Allowed: x.Allowed()}, nil
}

// Exchange is a method's view of a login. Each method of a [Config] has an
// Exchange, which belongs to the goroutine on which Try runs, and to nobody after
// [Authenticate] has returned.
type Exchange struct {
	// State is for the method's memory between two calls of Try. State is nil
	// at first.
	State any

	// Alias, unless empty, is the name in requests instead of Name. OpenSSH
	// allows publickey-hostbound-v00@openssh.com under the name publickey.
	Alias string

	login    *login
	method   Method
	names    []string // the method's names, best first
	name     string   // the name of the current turn
	recorded bool     // at least one attempt has been recorded
}

// Name returns the name of the method: the name that the server allows, if the
// method is a [MultiNameMethod].
func (x *Exchange) Name() string { return x.name }

// User returns the name of the user.
func (x *Exchange) User() string { return x.login.config.User }

// SessionID returns a copy of the session identifier, RFC 4253 section 7.2.
func (x *Exchange) SessionID() []byte { return bytes.Clone(x.login.transport.SessionID()) }

// Allowed returns the methods that can continue by the server's last answer, or
// nil before the first. A server that allows none gives an empty list.
func (x *Exchange) Allowed() []string { return slices.Clone(x.login.allowed) }

// Tried returns the attempts of this login so far, by all methods.
func (x *Exchange) Tried() []Attempt { return slices.Clone(x.login.tried) }

// Extension returns a copy of the value of a server's RFC 8308 extension. The
// first request of a login leaves before the server's extensions have arrived.
func (x *Exchange) Extension(name string) (value []byte, ok bool) {
	value, ok = x.login.transport.Extension(name)
	return bytes.Clone(value), ok
}

// Request sends an authentication request for this user and method, RFC 4252
// section 5, that ends with the method's own fields in payload, and waits for
// the server's answer. An error ends the conversation: the transport failed, the
// server broke the protocol, or 64 requests have been made. Use Request to begin
// a conversation or to ask a question, and Prove for a whole proof.
func (x *Exchange) Request(payload []byte) (Reply, error) {
	return oneReply(x.Requests(payload))
}

// Prove is Request for a payload with a whole proof, a password or a signature.
// Packets of [Early] follow only requests of Prove.
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
		return oneReply(l.flight(1, x.request(payload)))
	}
	return l.proveEarly(x.request(payload), early)
}

// Requests makes several requests in one flight and waits for the answers, in
// the order of the payloads. Fewer answers come with an error, and after a
// success, when the server ignores the other requests. A request that begins a
// conversation must go alone, because the next request would abort the
// conversation. See [Exchange.Probes] for how many requests the server will bear.
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
		// A later refusal in the same flight does not revoke the partial success.
		l.last = PartialSuccess
	}
	return replies, err
}

// Probes returns how many requests may share a flight now, if the server may refuse
// all of them: at most [Config].Probes, at least 1, and no sixth refusal.
func (x *Exchange) Probes() int {
	return max(1, min(x.login.config.Probes, maxRefusals-x.login.refusals))
}

// LastKey returns [Config].LastKey.
func (x *Exchange) LastKey() string { return x.login.config.LastKey }

// Send sends messages of the method's own, with a number from 60 to 79 in the
// first byte, and waits as Request does for the server's answer to the last
// message. Without packets Send waits for one more message of the server's. The
// method itself bounds how long a server can prolong the conversation.
func (x *Exchange) Send(packets ...[]byte) (Reply, error) {
	if err := x.admitMessages(packets); err != nil {
		return Reply{}, err
	}
	return oneReply(x.login.flight(1, packets...))
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
			return fmt.Errorf("userauth: a method may send messages %d to %d only", msgMethodFirst, msgMethodLast)
		}
	}
	return x.admit(0)
}

// admit is login.admit for a method that has a name.
func (x *Exchange) admit(requests int) error {
	if x.name == "" {
		return x.login.fail(errors.New("userauth: a method without a name cannot make requests"))
	}
	return x.login.admit(requests)
}

// SignedData returns the bytes under the signature in a request, RFC 4252 section
// 7: the session identifier and the request up to the signature. payload is the
// payload of [Exchange.Prove] without the signature at the end.
func (x *Exchange) SignedData(payload []byte) []byte {
	return ssh.Marshal(signedDataMsg{SessionID: x.login.transport.SessionID(), Request: x.request(payload)})
}

func (x *Exchange) request(payload []byte) []byte {
	return ssh.Marshal(userAuthRequestMsg{
		User:    x.login.config.User,
		Service: x.login.config.Service,
		Method:  cmp.Or(x.Alias, x.name),
		Payload: payload,
	})
}

// HostKeyProof returns the results of a [HostKeyProver], which bind an agent to
// this session, or nil if the [Transport] has no HostKeyProof.
func (x *Exchange) HostKeyProof() (key ssh.PublicKey, signature []byte) {
	if x.login.prover == nil {
		return nil, nil
	}
	return x.login.prover.HostKeyProof()
}

// Record adds an attempt to the report of [Error] and [Config].Trace. A Try without
// a Record is recorded by the server's last answer. Record fills in the method's
// name, and cuts and cleans the prompt.
func (x *Exchange) Record(a Attempt) {
	l := x.login
	a.Method, a.Prompt = x.name, oneLine(a.Prompt)
	x.recorded = true
	l.tried = append(l.tried, a)
	if l.config.Trace != nil {
		l.config.Trace(a)
	}
}

// allowedName returns the name by which the method may have a turn now.
func (x *Exchange) allowedName() (name string, ok bool) {
	if x.login.allowed == nil || x.names[0] == "" {
		return x.names[0], true
	}
	i := slices.IndexFunc(x.names, func(name string) bool { return slices.Contains(x.login.allowed, name) })
	if i < 0 {
		return "", false
	}
	return x.names[i], true
}

// untried returns the offers that the method would still have made.
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
