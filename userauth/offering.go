package userauth

import (
	"context"
	"fmt"
	"slices"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// offering is the memory that publickey and hostbased have of a login: the keys
// that the server has not judged yet, in the order in which they are offered.
type offering struct {
	keys     []*candidate
	noProbes bool // the method has no request that only asks about a key
	proof    func(ctx context.Context, x *Exchange, k *candidate) (payload []byte, err error)
}

// putFirst lets the first key of the given name go first, without a probe.
func (o *offering) putFirst(name string) {
	if name == "" {
		return
	}
	i := slices.IndexFunc(o.keys, func(k *candidate) bool { return KeyName(k.key) == name })
	if i < 0 {
		return
	}
	k := o.keys[i]
	k.isLastKey = true
	o.keys = slices.Insert(slices.Delete(o.keys, i, i+1), 0, k)
}

// run offers keys until the server accepts one, or allows the method no more, or no
// key is left.
func (o *offering) run(ctx context.Context, x *Exchange) (reply Reply, err error) {
	err = fmt.Errorf("%w: no key to offer", ErrSkip)
	for more := true; more && len(o.keys) > 0; {
		if k := o.nextToSign(); k != nil {
			reply, more, err = o.prove(ctx, x, k)
		} else {
			reply, more, err = o.probe(x)
		}
	}
	return reply, err
}

// nextToSign returns the key that is to sign now, or nil when a probe is better.
// A person is not bothered before the server wants the signature.
func (o *offering) nextToSign() *candidate {
	if i := o.accepted(); i >= 0 {
		return o.keys[i]
	}
	if k := o.keys[0]; o.noProbes || !k.needsProbe() && (k.isLastKey || len(o.keys) == 1) {
		return k
	}
	return nil
}

// accepted returns the index of the first key whose signature the server wants,
// or -1.
func (o *offering) accepted() int {
	return slices.IndexFunc(o.keys, func(k *candidate) bool { return k.accepted })
}

// prove offers k with a signature. more is true if other keys may follow: after
// a refusal, or if k could not sign.
func (o *offering) prove(ctx context.Context, x *Exchange, k *candidate) (reply Reply, more bool, err error) {
	if !k.accepted {
		k.offered = k.choose(x)
	}
	k.unprobed = !k.accepted && !o.noProbes
	k.accepted = false
	payload, err := o.sign(ctx, x, k)
	switch {
	case ctx.Err() != nil:
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
		return Reply{}, false, ctxerr.Of(ctx)
	case err != nil && k.unprobed && k.mayProbe(x):
		k.failed = err
		return Reply{}, true, nil
	case err != nil:
		o.record(x, k, Attempt{Err: err})
		return Reply{}, true, fmt.Errorf("%w: no key could sign", ErrSkip)
	}
	if reply, err = x.Prove(payload); err != nil {
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
		return Reply{}, false, err
	}
	o.judge(x, k, reply, false)
	return reply, reply.Status == Failure && reply.Allows(x.Name()), nil
}

// sign returns the payload of a request with a signature. A signer that has
// failed is called again only if the request now has the server's key in it, or
// if a person may help now.
func (o *offering) sign(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	if k.failed != nil && !bindsHost(x) && !k.interactive() {
		return nil, k.failed
	}
	return o.proof(ctx, x, k)
}

// probe asks about as many keys in one flight as Probes allows, except the last
// key: with no other key wanted, the last key signs at once, unless its signature
// needs a person. more is true if a key is to sign now, or if others may follow.
func (o *offering) probe(x *Exchange) (reply Reply, more bool, err error) {
	n := len(o.keys)
	if !o.keys[n-1].needsProbe() {
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
		// A success, a partial success, or a message that has no meaning here
		// outweighs the refusals in the same flight.
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

// accept notes that the server wants a signature by k, if the message is about k.
func (o *offering) accept(x *Exchange, k *candidate, packet []byte) {
	if err := k.confirm(packet); err != nil {
		o.record(x, k, Attempt{Err: err})
		return
	}
	k.accepted = true
}

// judge records the server's verdict on k, with a signature or without.
func (o *offering) judge(x *Exchange, k *candidate, reply Reply, unsigned bool) {
	switch {
	case reply.Status == Message:
		x.Record(Attempt{Key: k.key, Err: errUnfinished})
	case reply.Status == Failure && !reply.Allows(x.Name()):
		// The verdict is on the method. The key may be wanted later.
		x.Record(Attempt{Key: k.key, Err: errNotAllowed})
	case reply.Status == Failure && k.again(x):
	default:
		if k.failed != nil && reply.Status == Failure {
			x.Record(Attempt{Key: k.key, Err: k.failed}) // the key's first fault
		}
		o.record(x, k, Attempt{Status: reply.Status, Trivial: unsigned})
	}
}

// record records the last attempt with k. The key is not offered again.
func (o *offering) record(x *Exchange, k *candidate, a Attempt) {
	a.Key = k.key
	x.Record(a)
	o.keys = slices.DeleteFunc(o.keys, func(other *candidate) bool { return other == k })
}
