package userauth

import (
	"context"
	"fmt"
)

// maxChoices bounds the methods that a Choose may choose in one login.
const maxChoices = 64

// Progress is how far a login has come.
type Progress struct {
	// Allowed are the methods that can continue by the server's last answer, nil
	// before the first answer. Choose None to get an answer.
	Allowed []string

	// Accepted are the names of the methods that were partial successes.
	Accepted []string

	// Tried are all attempts so far, in order.
	Tried []Attempt
}

// Choose lets f choose each method, by the [Progress] of the login. f is called
// until the server grants access, 64 times in a login at most. Each choice is a
// fresh start, also of a method that was chosen before. With nil f declines, and
// the next method of the [Config] has its turn. An error of f that wraps
// [ErrSkip] declines as well; any other error ends the login.
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
	return Reply{}, fmt.Errorf("userauth: the limit of %d chosen methods is reached", maxChoices)
}
