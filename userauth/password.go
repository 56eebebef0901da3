package userauth

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// maxPrompts is how often one login asks the same question of the user's.
const maxPrompts = 3

// Password offers secret, RFC 4252 section 8. It is sent once in a login, unless
// the server says that it did not want a password at that point. A server that
// demands a new password ends the login with [ErrPasswordExpired].
func Password(secret string) Method { return password(secret) }

type password string

func (password) Name() string { return methodPassword }

func (p password) Try(_ context.Context, x *Exchange) (Reply, error) {
	if x.State != nil {
		return Reply{}, errUsed
	}
	reply, err := sendPassword(x, string(p))
	if reply.Status != Failure || reply.Allows(methodPassword) {
		x.State = true
	}
	return reply, err
}

// PasswordFunc offers what f returns, and calls f again when the server refuses
// it, three times at most in one login. The attempt that f is given counts from
// 1. An error of f that wraps [ErrSkip] declines; any other ends the login. f
// is called as soon as it is its turn: put [None] first to find out whether the
// server wants a password before a person is asked for it.
func PasswordFunc(f func(ctx context.Context, attempt int) (string, error)) Method {
	return passwordFunc(f)
}

type passwordFunc func(ctx context.Context, attempt int) (string, error)

func (passwordFunc) Name() string { return methodPassword }

func (p passwordFunc) Try(ctx context.Context, x *Exchange) (reply Reply, err error) {
	asked, _ := x.State.(int)
	if asked == maxPrompts {
		return Reply{}, errUsed
	}
	for asked < maxPrompts {
		asked++
		x.State = asked
		secret, err := p(ctx, asked)
		if err != nil {
			return Reply{}, err
		}
		reply, err = sendPassword(x, secret)
		if err != nil || reply.Status != Failure || !reply.Allows(methodPassword) {
			return reply, err
		}
	}
	return reply, nil
}

// sendPassword makes one request and names the one message that may come back
// besides a verdict.
func sendPassword(x *Exchange, secret string) (Reply, error) {
	reply, err := x.Prove(ssh.Marshal(passwordMsg{Password: secret}))
	if err != nil || reply.Status != Message || reply.Packet[0] != msgPasswdChangeReq {
		return reply, err
	}
	var msg passwdChangeReqMsg
	if err := ssh.Unmarshal(reply.Packet, &msg); err != nil {
		return reply, protocolErrorf("malformed demand for a new password")
	}
	return reply, fmt.Errorf("%w: %q", ErrPasswordExpired, oneLine(msg.Prompt))
}
