package userauth

import (
	"context"
	"errors"
	"fmt"
)

// maxChoices is how many methods a Choose may choose in one login.
const maxChoices = 64

// Progress is how far a login has come.
type Progress struct {
	// Allowed are the methods that the server said can continue. It is nil
	// before the first answer: choose None to have one.
	Allowed []string

	// Accepted are the names of those that were partial successes.
	Accepted []string

	// Tried are all attempts so far, in order.
	Tried []Attempt
}

// Choose lets f choose each method, in the light of what the server still
// allows and what has been tried. It is asked again until the server grants
// access, and each choice is a fresh start, also of a method that was chosen
// before: 64 in one login at most. With nil it declines, and the next of the
// Methods of the [Config] have their turn. An error of f that wraps [ErrSkip]
// declines as well; any other ends the login.
func Choose(f func(ctx context.Context, p Progress) (Method, error)) Method { return choose(f) }

type choose func(ctx context.Context, p Progress) (Method, error)

func (choose) Name() string { return "" }

func (c choose) Try(ctx context.Context, x *Exchange) (Reply, error) {
	chosen, _ := x.State.(int)
	for ; chosen < maxChoices; chosen++ {
		x.State = chosen + 1
		p := Progress{Allowed: x.Allowed(), Tried: x.Tried()}
		for _, a := range p.Tried {
			if a.Err == nil && a.Status == PartialSuccess {
				p.Accepted = append(p.Accepted, a.Method)
			}
		}
		m, err := c(ctx, p)
		if err != nil {
			return Reply{}, err
		}
		if m == nil {
			return Reply{}, fmt.Errorf("%w: no method was chosen", ErrSkip)
		}
		reply, err := x.Delegate(ctx, m)
		if err != nil || reply.Status != Failure {
			return reply, err
		}
	}
	return Reply{}, fmt.Errorf("the limit of %d chosen methods", maxChoices)
}

// Delegate gives another method a turn, with an [Exchange] of its own, and
// returns how it ended: Failure also where m had nothing to offer or the server
// does not allow it, which is recorded. An error ends the login.
func (x *Exchange) Delegate(ctx context.Context, m Method) (Reply, error) {
	if m == nil || m.Name() == "" {
		return Reply{}, errors.New("a turn was to be given to a method without a name")
	}
	l := x.login
	other, err := l.newExchange(m)
	if err != nil {
		return Reply{}, err
	}
	l.chosen = append(l.chosen, other)
	status, err := l.turns(ctx, other)
	if err != nil {
		return Reply{}, err
	}
	if !other.recorded {
		other.Record(Attempt{Err: errNotOffered})
	}
	return Reply{Status: status, Allowed: x.Allowed()}, nil
}
