package userauth

import (
	"context"
	"fmt"
	"slices"
)

// offering is what publickey remembers of a login: the keys that the server has
// not judged yet, in the order in which they are offered.
type offering struct {
	keys  []*candidate
	blind bool // the server cannot be asked about a key
	proof func(ctx context.Context, x *Exchange, k *candidate) (payload []byte, err error)
}

// putFirst puts the first key of that name before all others, to sign at once.
func (o *offering) putFirst(name string) {
	if name == "" {
		return
	}
	i := slices.IndexFunc(o.keys, func(k *candidate) bool { return KeyName(k.key) == name })
	if i < 0 {
		return
	}
	k := o.keys[i]
	k.likely = true
	o.keys = slices.Insert(slices.Delete(o.keys, i, i+1), 0, k)
}

// run offers keys until one of them has got somewhere or none is left.
func (o *offering) run(ctx context.Context, x *Exchange) (reply Reply, err error) {
	err = fmt.Errorf("%w: no key to offer", ErrSkip)
	for more := true; more && len(o.keys) > 0; {
		if k := o.signs(); k != nil {
			reply, more, err = o.prove(ctx, x, k)
		} else {
			reply, more, err = o.probe(x)
		}
	}
	return reply, err
}

// signs returns the key that is to sign now, or nil when it is better to ask.
// A person is not bothered before the server wants the signature.
func (o *offering) signs() *candidate {
	if i := o.accepted(); i >= 0 {
		return o.keys[i]
	}
	if k := o.keys[0]; o.blind || !k.asksFirst() && (k.likely || len(o.keys) == 1) {
		return k
	}
	return nil
}

// accepted returns the index of the first key that the server wants a signature
// of, or -1.
func (o *offering) accepted() int {
	return slices.IndexFunc(o.keys, func(k *candidate) bool { return k.accepted })
}

// prove offers k with a signature. More keys may follow if that was refused, or
// if there was no signature to send.
func (o *offering) prove(ctx context.Context, x *Exchange, k *candidate) (reply Reply, more bool, err error) {
	if !k.accepted {
		k.offered = k.choose(x)
	}
	k.unasked = !k.accepted && !o.blind
	k.accepted = false
	payload, err := o.sign(ctx, x, k)
	switch {
	case ctx.Err() != nil:
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
		return Reply{}, false, ctx.Err()
	case err != nil && k.unasked && k.mayAskFirst(x):
		k.failed = err
		return Reply{}, true, nil
	case err != nil:
		o.record(x, k, Attempt{Err: err})
		return Reply{}, true, fmt.Errorf("%w: no key that signs", ErrSkip)
	}
	if reply, err = x.Prove(payload); err != nil {
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
		return Reply{}, false, err
	}
	o.judge(x, k, reply, false)
	return reply, reply.Status == Failure && reply.Allows(x.Name()), nil
}

// sign returns the payload of a request with a signature. A signer that has
// failed is asked once more only if it is shown more than before, or if a person
// may help now.
func (o *offering) sign(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	if k.failed != nil && !x.bindsHost() && !k.interactive() {
		return nil, k.failed
	}
	return o.proof(ctx, x, k)
}

// probe asks about as many keys in one flight as it may, but not about the last
// one: when no other is wanted, that one may as well sign at once, unless that
// takes a person. More keys follow if there is one to sign for now, or if others
// are still wanted.
func (o *offering) probe(x *Exchange) (reply Reply, more bool, err error) {
	n := len(o.keys)
	if !o.keys[n-1].asksFirst() {
		n--
	}
	asked := slices.Clone(o.keys[:min(x.Probes(), n)])
	payloads := make([][]byte, len(asked))
	for i, k := range asked {
		k.offered = k.choose(x)
		payloads[i] = k.request(x, false)
	}
	replies, err := x.Requests(payloads...)
	more = true
	for i, r := range replies {
		if r.Status == Message && r.Packet[0] == msgPublicKeyOK {
			o.accept(x, asked[i], r.Packet)
			continue
		}
		o.judge(x, asked[i], r, true)
		// A success of whatever kind, or a message that has no meaning here,
		// is the news of this flight, and no refusal around it is.
		if reply.Status == Failure || r.Status == Message {
			reply, more = r, r.Status == Failure && r.Allows(methodPublicKey)
		}
	}
	if err != nil {
		for _, k := range asked[len(replies):] {
			x.Record(Attempt{Key: k.key, Err: errUnfinished})
		}
		return Reply{}, false, err
	}
	return reply, more || reply.Status == Failure && o.accepted() >= 0, nil
}

// accept takes the server's word that it wants a signature, if that is about k.
func (o *offering) accept(x *Exchange, k *candidate, packet []byte) {
	if err := k.confirm(packet); err != nil {
		o.record(x, k, Attempt{Err: err})
		return
	}
	k.accepted = true
}

// judge records what the server thinks of k, with a signature or without.
func (o *offering) judge(x *Exchange, k *candidate, reply Reply, unsigned bool) {
	switch {
	case reply.Status == Message:
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
	case reply.Status == Failure && !reply.Allows(x.Name()):
		// This was not about the key, which may be wanted later.
		x.Record(Attempt{Key: k.key, Err: errNotAllowed})
	case reply.Status == Failure && k.again(x):
	default:
		if k.failed != nil && reply.Status == Failure {
			x.Record(Attempt{Key: k.key, Err: k.failed}) // which is what was wrong with it first
		}
		o.record(x, k, Attempt{Status: reply.Status, Trivial: unsigned})
	}
}

// record records the last attempt with k, which is not offered again.
func (o *offering) record(x *Exchange, k *candidate, a Attempt) {
	a.Key = k.key
	x.Record(a)
	o.keys = slices.DeleteFunc(o.keys, func(other *candidate) bool { return other == k })
}
