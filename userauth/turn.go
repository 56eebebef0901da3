package userauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrTooFewFactors is wrapped by the error of a login that the server granted
// for fewer proofs than [Config].RequireFactors. The transport is closed.
var ErrTooFewFactors = errors.New("the server granted access for too little")

// run walks the methods, from the top again after each partial success. It
// ends: every walk but the last has cost a request, and requests are counted.
func (l *login) run(ctx context.Context) error {
walk:
	for {
		for _, x := range l.exchanges {
			status, err := l.turns(ctx, x)
			switch {
			case err != nil:
				return l.failure(err)
			case status == Success:
				return l.checkFactors()
			case status == PartialSuccess:
				continue walk
			}
		}
		for _, x := range l.exchanges {
			if !x.recorded && x.name != "" {
				x.Record(Attempt{Err: errNotOffered})
			}
		}
		return l.failure(nil)
	}
}

// turns gives the method of x its turn, if the server allows it, and another one
// if it turns out that the server allows it under another of its names only.
func (l *login) turns(ctx context.Context, x *Exchange) (status Status, err error) {
	for i := range x.names {
		name, ok := x.allowedName()
		if !ok || i > 0 && name == x.name {
			break
		}
		x.name = name
		if status, err = l.try(ctx, x); err != nil || status != Failure {
			break
		}
	}
	return status, err
}

// allowedName returns the name by which the method may have its turn now.
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

// try gives the method of x one turn. What the server said is taken from the
// exchange and not from the method, which can't claim a success.
func (l *login) try(ctx context.Context, x *Exchange) (Status, error) {
	before := len(l.tried)
	l.last, l.answered = Failure, false
	reply, err := x.method.Try(ctx, x)
	if err == nil && reply.Status == Message {
		err = l.fail(protocolErrorf("message %d, which %s does not know", reply.number(), x.name))
	}
	var skipped error
	switch {
	case l.err != nil:
		err = l.err
	case err != nil && context.Cause(ctx) == errEnded:
		err = l.fail(errEnded)
	case errors.Is(err, ErrSkip):
		skipped, err = err, nil
	case err != nil && x.name != "":
		err = fmt.Errorf("%s: %w", x.name, err)
	}
	if len(l.tried) == before && x.name != "" {
		l.recordTurn(x, skipped, err)
	}
	return l.last, err
}

// recordTurn records an attempt for a turn in which the method recorded none.
func (l *login) recordTurn(x *Exchange, skipped, err error) {
	switch {
	case err != nil:
		x.Record(Attempt{Err: errUnfinished})
	case l.answered:
		x.Record(outcome(x, Attempt{}, Reply{Status: l.last, Allowed: l.allowed}, nil))
	case x.recorded:
		// That a method has nothing more to offer is no news.
	case skipped != nil:
		x.Record(Attempt{Err: skipped})
	default:
		x.Record(Attempt{Err: fmt.Errorf("%w: it made no request", ErrSkip)})
	}
}

// outcome returns a with what the server answered to it, or with why there is
// no verdict on it.
func outcome(x *Exchange, a Attempt, reply Reply, err error) Attempt {
	switch {
	case errors.Is(err, ErrSkip):
		a.Err = err
	case err != nil || reply.Status == Message:
		a.Err = errUnfinished
	case reply.Status == Failure && !reply.Allows(x.name) && x.name != methodNone:
		a.Err = errNotAllowed
	default:
		a.Status = reply.Status
	}
	return a
}

// factors returns how many proofs the server has accepted.
func (l *login) factors() (n int) {
	for _, a := range l.tried {
		if a.Err == nil && !a.Trivial && (a.Status == Success || a.Status == PartialSuccess) {
			n++
		}
	}
	return n
}

// checkFactors judges a success.
func (l *login) checkFactors() error {
	n, required := l.factors(), l.config.RequireFactors
	if n >= required {
		return nil
	}
	l.t.Close()
	return l.failure(fmt.Errorf("%w: it accepted %d proofs of who the user is, and %d are required", ErrTooFewFactors, n, required))
}
