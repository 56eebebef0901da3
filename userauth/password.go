package userauth

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// maxPrompts is how often a login asks the user the same question.
const maxPrompts = 3

// Password offers secret, RFC 4252 section 8. The secret is sent once in a
// login, unless the server says that a password was not wanted at that point. A
// server that demands a new password ends the login with [ErrPasswordExpired].
//
// Where the server allows keyboard-interactive instead, and no other method of
// the [Config] has that name, the secret answers a single prompt whose answer is
// not shown. The secret never answers a prompt that is shown, prompts that come
// together, or a second prompt, which may be for a one-time code.
func Password(secret string) Method {
	return &passwords{most: 1, current: func(context.Context, int) (string, error) { return secret, nil }}
}

// PasswordFunc offers the password that f returns, as [Password] does, and calls
// f again when the server refuses the password, three times at most in a login.
// attempt counts from 1. An error of f that wraps [ErrSkip] declines; any other
// error ends the login. f is called as soon as the method has its turn: put
// [None] first to ask a person only if the server wants a password.
func PasswordFunc(f func(ctx context.Context, attempt int) (string, error)) Method {
	return &passwords{most: maxPrompts, current: f}
}

// PasswordChange is PasswordFunc(current) for servers that may demand a new
// password. change returns the new password; prompt is the server's text, as
// clean as the texts of a [Challenge], and may have several lines. A server may
// reject the new password and demand another: change is called three times at
// most, and attempt counts from 1. Errors of change are treated like those of
// current.
func PasswordChange(current func(ctx context.Context, attempt int) (string, error),
	change func(ctx context.Context, attempt int, prompt string) (string, error)) Method {
	return &passwords{most: maxPrompts, current: current, change: change}
}

type passwords struct {
	most    int // bounds the calls of current in a login
	current func(ctx context.Context, attempt int) (string, error)
	change  func(ctx context.Context, attempt int, prompt string) (string, error) // nil: no new password
}

var _ MultiNameMethod = (*passwords)(nil)

// passwordState is the method's memory of a login.
type passwordState struct {
	asked    int
	waiting  *string // a password that the server has not judged yet
	accepted bool    // the server took a password, so a prompt asks for something else
	spent    bool    // no further password is to be offered
	talks    conversations
}

func (*passwords) Name() string { return methodPassword }

// Names adds the method that many servers allow in place of passwords.
func (*passwords) Names() []string { return []string{methodPassword, methodKeyboardInteractive} }

func (p *passwords) Try(ctx context.Context, x *Exchange) (reply Reply, err error) {
	s, ok := x.State.(*passwordState)
	if !ok {
		s = new(passwordState)
		x.State = s
	}
	offer := p.send
	if x.Name() == methodKeyboardInteractive {
		offer = p.answer
	}
	err = errUsed
	for !s.spent {
		reply, err = offer(ctx, x, s)
		if err != nil || reply.Status != Failure || !reply.Allows(x.Name()) {
			break
		}
	}
	return reply, err
}

func (p *passwords) next(ctx context.Context, s *passwordState) (string, error) {
	if s.waiting == nil {
		s.asked++
		secret, err := p.current(ctx, s.asked)
		if err != nil {
			s.spent = s.asked >= p.most
			return "", err
		}
		s.waiting = &secret
	}
	return *s.waiting, nil
}

// judged notes that the server has seen the waiting password.
func (p *passwords) judged(s *passwordState) {
	s.waiting = nil
	s.spent = s.spent || s.asked >= p.most
}

// send offers a password by the method "password", and a new password if the
// server demands one.
func (p *passwords) send(ctx context.Context, x *Exchange, s *passwordState) (Reply, error) {
	secret, err := p.next(ctx, s)
	if err != nil {
		return Reply{}, err
	}
	var a Attempt
	reply, err := x.Prove(ssh.Marshal(passwordMsg{Password: secret}))
	for round := 1; err == nil && reply.number() == msgPasswdChangeReq; round++ {
		s.spent = true
		var prompt string
		if prompt, err = parseDemand(reply.Packet); err == nil {
			a.Prompt = prompt
			reply, err = p.renew(ctx, x, secret, round, prompt)
		}
	}
	if reply.Status != Failure || reply.Allows(methodPassword) {
		p.judged(s)
	}
	s.accepted = s.accepted || reply.Status == PartialSuccess
	x.Record(outcome(x, a, reply, err))
	return reply, err
}

// renew answers the demand for a new password.
func (p *passwords) renew(ctx context.Context, x *Exchange, secret string, round int, prompt string) (Reply, error) {
	demand := fmt.Errorf("%w: %q", ErrPasswordExpired, oneLine(prompt))
	switch {
	case p.change == nil:
		return Reply{}, fmt.Errorf("%w: use PasswordChange to set a new one", demand)
	case round > maxPrompts:
		return Reply{}, fmt.Errorf("%w: the server rejected %d new passwords", demand, maxPrompts)
	}
	fresh, err := p.change(ctx, round, prompt)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", demand, err)
	}
	return x.Prove(ssh.Marshal(passwordChangeMsg{Change: true, Password: secret, NewPassword: fresh}))
}

// answer offers a password as the answer to a challenge.
func (p *passwords) answer(ctx context.Context, x *Exchange, s *passwordState) (Reply, error) {
	if s.accepted {
		return Reply{}, errUsed
	}
	answered := false
	k := keyboardInteractive(func(ctx context.Context, c Challenge) ([]string, error) {
		switch {
		case len(c.Prompts) == 0:
			return nil, nil
		case answered || len(c.Prompts) > 1 || c.Prompts[0].Echo:
			return nil, fmt.Errorf("%w: the server asks for more than a password", ErrSkip)
		}
		secret, err := p.next(ctx, s)
		if err != nil {
			return nil, err
		}
		answered = true
		return []string{secret}, nil
	})
	reply, err := k.converse(ctx, x, &s.talks)
	if answered {
		p.judged(s)
	} else if err == nil && reply.Status == Failure {
		err = fmt.Errorf("%w: the server did not ask for a password", ErrSkip)
	}
	return reply, err
}

func parseDemand(packet []byte) (string, error) {
	var msg passwdChangeReqMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return "", protocolErrorf("malformed demand for a new password")
	}
	return clean(msg.Prompt, maxText), nil
}
