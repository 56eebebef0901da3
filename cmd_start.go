package nacre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/early"
)

// starting is a try to start a command: a part is sent at once, and the rest waits
// for an answer. A server that has not read the first part, or has refused it as a
// whole, may be given the command again on another connection.
type starting struct {
	cmd   *Cmd
	env   []variable
	grace *grace // the context of the try

	client  *Client // the connection of the try
	session *channel.Session
	early   bool                  // nothing waits for the answer to the open
	pending []*connection.Pending // the answers to env
	sent    bool                  // the request exec has left
	input   bool                  // all of the command's input has been sent
}

// reset forgets a try without effect.
func (s *starting) reset() {
	if s != nil {
		*s = starting{cmd: s.cmd, env: s.env, grace: s.grace}
		s.grace.hold(false)
	}
}

// send opens a session and sends whatever need not wait.
func (s *starting) send(ctx context.Context, client *Client) (err error) {
	s.client = client
	if s.session, s.early, err = client.openSession(ctx); err != nil {
		return err
	}
	s.cmd.closeUnused(s.session)
	if err = s.sendEnv(ctx); err == nil && (len(s.env) == 0 || s.cmd.EnvOptional) {
		err = s.exec(ctx, s.cmd.Command)
	}
	if err != nil {
		s.session.Close()
		s.reset()
	}
	return err
}

// sendEnv requests the variables, all in one flight. They have to be settled
// before the command runs, unless the command can do without them.
func (s *starting) sendEnv(ctx context.Context) error {
	for _, v := range s.env {
		payload := ssh.Marshal(struct{ Name, Value string }{v.name, v.value})
		p, err := s.session.SendRequest(ctx, "env", true, payload)
		if err != nil {
			return err
		}
		s.pending = append(s.pending, p)
	}
	return nil
}

// exec requests agent, terminal and command, and sends small input along with an
// early command.
func (s *starting) exec(ctx context.Context, command string) error {
	if agent := s.cmd.ForwardAgent; agent != nil {
		if err := s.session.ForwardAgent(ctx, s.client.bound(agent)); err != nil {
			return err
		}
	}
	if s.cmd.PTY != nil {
		if err := s.session.RequestPTY(ctx, *s.cmd.PTY); err != nil {
			return err
		}
	}
	if err := s.session.Exec(ctx, command); err != nil {
		return err
	}
	s.sent = true
	s.grace.hold(true)
	if data, ok := s.cmd.inputAtHand(); s.early && ok {
		s.sendInput(ctx, data)
	}
	return nil
}

// sendInput sends all of the command's input. Errors do not count here: the
// command may have ended already, and wait reports a command that never started.
func (s *starting) sendInput(ctx context.Context, data []byte) {
	stop := context.AfterFunc(ctx, func() { s.session.Close() })
	defer stop()
	_, _ = s.session.Write(data)
	_ = s.session.CloseWrite()
	s.input = true
}

// finish waits for the answers, and then sends the rest.
func (s *starting) finish(ctx context.Context) error {
	if !s.sent {
		command, err := s.settleEnv(ctx)
		if err != nil {
			return err
		}
		if err := s.exec(ctx, command); err != nil {
			return err
		}
	}
	return s.wait(ctx)
}

// settleEnv waits for the answers to the variables, and returns the command line,
// which sets the refused variables itself with EnvFallback.
func (s *starting) settleEnv(ctx context.Context) (command string, err error) {
	var refused []variable
	for i, v := range s.env {
		_, err := s.pending[i].Wait(ctx)
		var refusal *connection.RequestError
		switch {
		case errors.As(err, &refusal):
			v.err = fmt.Errorf("nacre: environment variable %q (the server's AcceptEnv decides; Cmd.EnvFallback and EnvOptional do without): %w", v.name, err)
			refused = append(refused, v)
		case err != nil:
			return "", err
		}
	}
	switch {
	case len(refused) == 0:
		return s.cmd.Command, nil
	case !s.cmd.EnvFallback:
		return "", refused[0].err
	}
	return withEnv(refused, s.cmd.Command)
}

// errDropped is why the refusal of a command is not believed.
var errDropped = errors.New("the server's answer may be for a later request, because the server has dropped an early one: " +
	"set Config.DisableEarly for this server")

// wait waits for all answers. A refusal after an inquiry says nothing of the
// command: a server may answer in another order, and have started the command.
//
// The command has left, so the grace is held: should the caller's context end, the
// answer is awaited for WaitDelay, and a command that runs is for Cancel to end.
func (s *starting) wait(ctx context.Context) error {
	if !s.early {
		return s.session.WaitStart(ctx)
	}
	q := early.Inquire(ctx, func(ctx context.Context) error {
		_, err := s.session.SendRequest(ctx, "keepalive@openssh.com", true, nil)
		return err
	})
	err := s.session.WaitStart(ctx)
	if q.End() && errors.As(err, new(*connection.RequestError)) {
		return fmt.Errorf("%w: %w", err, errDropped)
	}
	return err
}

// giveUp ends a try. The error is an UncertainError if the command may run all the
// same.
func (s *starting) giveUp(err error) error {
	if s.session != nil {
		s.session.Close()
	}
	var refused *connection.RequestError
	var open *connection.OpenError
	believed := errors.As(err, &refused) && refused.Name == "exec" && !errors.Is(err, errDropped)
	if !s.sent || errors.As(err, &open) || believed {
		return err
	}
	return &UncertainError{Err: err}
}

// maxInputAtHand is how much input leaves with the command, in bytes: no more
// than an early channel takes.
const maxInputAtHand = 16 << 10

// inputAtHand returns the whole input of the command if the input is small and in
// memory: then it can leave with the command. The input stays in its reader, for
// another connection, or another command, may need it.
func (c *Cmd) inputAtHand() (data []byte, ok bool) {
	switch r := c.Stdin.(type) {
	case nil: // a terminal's input stays open
		return nil, !c.streams.stdinPiped && c.PTY == nil
	case *bytes.Buffer:
		return r.Bytes(), r.Len() <= maxInputAtHand
	case *bytes.Reader:
		return lastBytes(r, r.Size(), r.Len())
	case *strings.Reader:
		return lastBytes(r, r.Size(), r.Len())
	}
	return nil, false
}

// lastBytes returns the last n bytes of r, if n is small.
func lastBytes(r io.ReaderAt, size int64, n int) (data []byte, ok bool) {
	if n > maxInputAtHand {
		return nil, false
	}
	data = make([]byte, n)
	_, err := r.ReadAt(data, size-int64(n))
	return data, err == nil || err == io.EOF
}

// UncertainError is the error of a command that the server was sent and may have
// run, or be running. Either the connection was lost or the context ended
// before the answer came; or nobody knows the request of the answer; or the
// command has started without its terminal, and was hung up. The command is not
// sent a second time: only the caller knows whether a second run would do harm.
//
// A command whose Start has failed with another error has not run.
type UncertainError struct{ Err error }

// Error returns one line with the reason for the missing answer.
func (e *UncertainError) Error() string {
	return "nacre: the command may have run: " + strings.TrimPrefix(e.Err.Error(), "nacre: ")
}

// Unwrap returns why there was no answer.
func (e *UncertainError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out, like [Error.Timeout].
func (e *UncertainError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}
