package userauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrTooFewFactors is wrapped by the error of a login that the server granted
// for fewer proofs than [Config].RequireFactors. The transport is closed.
var ErrTooFewFactors = errors.New("userauth: too few factors")

// login is the state of one call of [Authenticate], and belongs to the goroutine
// of that call. A login begins in newLogin, walks the methods in run, and ends
// with the server's success, with the first error, or when no method is left;
// failure then makes the report. Methods see a login through [Exchange].
type login struct {
	transport Transport
	powers
	config    Config
	exchanges []*Exchange // one per configured method, in the order of Config.Methods
	delegated []*Exchange // one per call of Exchange.Delegate

	// The conversation so far, kept by flight.go.
	requests   int
	refusals   int // answers with the status Failure
	unanswered int // requests and messages under way
	banners    bannerBudget
	allowed    []string // the server's last list, nil before the first
	granted    bool     // the server has sent success
	err        error    // the first failure, after which nothing is sent

	// Facts for the report and for Early.
	tried          []Attempt
	probesBrokeOff bool // the flight that failed had an accepted key in it
	earlyInVain    bool // early packets had no effect, and no answer has come since

	// The current turn.
	last     Status // the server's last verdict
	answered bool   // the server has given a verdict
}

// newLogin copies config and checks the copy, before a byte is sent.
func newLogin(t Transport, config *Config) (*login, error) {
	if config == nil {
		return nil, errors.New("userauth: no configuration")
	}
	l := &login{transport: t, powers: powersOf(t), config: *config}
	if l.config.Early != nil {
		l.config.Early.Outcome = EarlyNoEffect
	}
	if l.config.Service == "" {
		l.config.Service = serviceConnection
	}
	if err := l.config.check(); err != nil {
		return nil, err
	}
	for i, m := range config.Methods {
		if m == nil {
			return nil, fmt.Errorf("userauth: Methods[%d] is nil", i)
		}
		x, err := l.newExchange(m)
		if err != nil {
			return nil, err
		}
		l.exchanges = append(l.exchanges, x)
	}
	for _, x := range l.exchanges {
		x.names = slices.DeleteFunc(x.names, func(name string) bool { return name != x.name && l.has(name) })
	}
	return l, nil
}

// newExchange returns the exchange of a method whose names are valid.
func (l *login) newExchange(m Method) (*Exchange, error) {
	name := m.Name()
	names := []string{name}
	if multi, ok := m.(MultiNameMethod); ok && name != "" {
		others := slices.DeleteFunc(slices.Clone(multi.Names()), func(other string) bool { return other == name })
		names = append(names, others...)
	}
	for _, name := range names {
		if name != "" && !validName(name) {
			return nil, fmt.Errorf("userauth: method name %q is not allowed by RFC 4251 section 6", clip(name))
		}
	}
	return &Exchange{login: l, method: m, names: names, name: name}, nil
}

// has reports whether a method of the given name is configured.
func (l *login) has(name string) bool {
	return slices.ContainsFunc(l.exchanges, func(x *Exchange) bool { return x.names[0] == name })
}

// run walks the methods, from the top again after each partial success. The
// walk ends because each repetition has cost a request, and admit counts them.
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

// turns gives the method of x a turn, if the server allows the method. Another
// turn follows if the first turn shows that the server allows only another name
// of the same method.
func (l *login) turns(ctx context.Context, x *Exchange) (status Status, err error) {
	for i := range x.names {
		name, ok := x.allowedName()
		if !ok || i > 0 && name == x.name {
			break
		}
		x.name = name
		if status, err = l.turn(ctx, x); err != nil || status != Failure {
			break
		}
	}
	return status, err
}

// turn calls the method's Try once. The verdict is the server's, as flight.go
// has seen it: a method cannot claim a success.
func (l *login) turn(ctx context.Context, x *Exchange) (Status, error) {
	before := len(l.tried)
	l.last, l.answered = Failure, false
	reply, err := x.method.Try(ctx, x)
	if err == nil && reply.Status == Message {
		err = l.fail(protocolErrorf("message %d has no meaning in %s", reply.number(), x.name))
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
		err = &methodError{x.name, err}
	}
	if len(l.tried) == before && x.name != "" {
		l.recordTurn(x, skipped, err)
	}
	return l.last, err
}

// recordTurn records an attempt for a turn whose method has recorded none.
func (l *login) recordTurn(x *Exchange, skipped, err error) {
	switch {
	case err != nil:
		x.Record(Attempt{Err: errUnfinished})
	case l.answered:
		x.Record(outcome(x, Attempt{}, Reply{Status: l.last, Allowed: l.allowed}, nil))
	case x.recorded:
		// The end of a method that has recorded attempts is not recorded.
	case skipped != nil:
		x.Record(Attempt{Err: skipped})
	default:
		x.Record(Attempt{Err: fmt.Errorf("%w: no request was made", ErrSkip)})
	}
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

// checkFactors judges a success by [Config].RequireFactors.
func (l *login) checkFactors() error {
	n, required := l.factors(), l.config.RequireFactors
	if n >= required {
		return nil
	}
	l.transport.Close()
	return l.failure(fmt.Errorf("%w: the server granted access for %s, and RequireFactors is %d", ErrTooFewFactors, counted(n, "proof"), required))
}
