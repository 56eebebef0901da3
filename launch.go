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
)

// launch is one try to start a command: what is sent at once, and what has to
// wait for an answer. A server that has not read the first part, or has refused
// all of it, may be given it again on another connection.
type launch struct {
	cmd *Cmd
	env []variable

	client  *Client // that it is sent on
	session *channel.Session
	early   bool                  // nothing of this waits for the open to be answered
	pending []*connection.Pending // the answers to env
	sent    bool                  // the request that runs the command
	input   bool                  // all of the command's input has been sent
}

// reset forgets a try that had no effect.
func (l *launch) reset() {
	if l != nil {
		*l = launch{cmd: l.cmd, env: l.env}
	}
}

// send opens a session and sends all that need not wait.
func (l *launch) send(ctx context.Context, client *Client) (err error) {
	l.client = client
	if l.session, l.early, err = client.openSession(ctx); err != nil {
		return err
	}
	l.cmd.closeUnused(l.session)
	if err = l.sendEnv(ctx); err == nil && (len(l.env) == 0 || l.cmd.EnvOptional) {
		err = l.exec(ctx, l.cmd.Command)
	}
	if err != nil {
		l.session.Close()
		l.reset()
	}
	return err
}

// sendEnv requests the variables, all in one flight. They have to be settled
// before the command runs, unless it can do without them.
func (l *launch) sendEnv(ctx context.Context) error {
	for _, v := range l.env {
		payload := ssh.Marshal(struct{ Name, Value string }{v.name, v.value})
		p, err := l.session.SendRequest(ctx, "env", true, payload)
		if err != nil {
			return err
		}
		l.pending = append(l.pending, p)
	}
	return nil
}

// exec requests agent, terminal and command, and where the server bears it,
// sends input that is at hand.
func (l *launch) exec(ctx context.Context, command string) error {
	if agent := l.cmd.ForwardAgent; agent != nil {
		if err := l.session.ForwardAgent(ctx, l.client.bound(agent)); err != nil {
			return err
		}
	}
	if l.cmd.PTY != nil {
		if err := l.session.RequestPTY(ctx, *l.cmd.PTY); err != nil {
			return err
		}
	}
	if err := l.session.Exec(ctx, command); err != nil {
		return err
	}
	l.sent = true
	if data, ok := l.cmd.inputAtHand(); l.early && ok {
		l.sendInput(ctx, data)
	}
	return nil
}

// sendInput sends all of the command's input. Errors do not count here: the
// command may have ended already, and if it has not even started, Started tells.
func (l *launch) sendInput(ctx context.Context, data []byte) {
	stop := context.AfterFunc(ctx, func() { l.session.Close() })
	defer stop()
	_, _ = l.session.Write(data)
	_ = l.session.CloseWrite()
	l.input = true
}

// finish waits for the answers, and does what had to wait for them.
func (l *launch) finish(ctx context.Context) error {
	if !l.sent {
		command, err := l.settleEnv(ctx)
		if err != nil {
			return err
		}
		if err := l.exec(ctx, command); err != nil {
			return err
		}
	}
	return l.started(ctx)
}

// settleEnv waits for what becomes of the variables, and returns the command
// line that sets those which the server has refused.
func (l *launch) settleEnv(ctx context.Context) (command string, err error) {
	var refused []variable
	for i, v := range l.env {
		_, err := l.pending[i].Wait(ctx)
		var refusal *connection.RequestError
		switch {
		case errors.As(err, &refusal):
			v.err = fmt.Errorf("nacre: environment variable %q: %w", v.name, err)
			refused = append(refused, v)
		case err != nil:
			return "", err
		}
	}
	switch {
	case len(refused) == 0:
		return l.cmd.Command, nil
	case !l.cmd.EnvFallback:
		return "", refused[0].err
	}
	return withEnv(refused, l.cmd.Command)
}

// failed ends a launch, and says so if the command may run all the same.
func (l *launch) failed(err error) error {
	if l.session != nil {
		l.session.Close()
	}
	var refused *connection.RequestError
	var open *connection.OpenError
	believed := errors.As(err, &refused) && refused.Name == "exec" && !errors.Is(err, errDropped)
	if !l.sent || errors.As(err, &open) || believed {
		return err
	}
	return &UncertainError{Err: err}
}

// maxInputAtHand is how much input leaves with the command, in bytes: no more
// than a presumed channel takes.
const maxInputAtHand = 16 << 10

// inputAtHand returns the whole input of the command if that is little and in
// memory: then it can leave with the command. It stays in its reader, for
// another connection may be needed, or another command.
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

// lastBytes returns the last n bytes of r, if those are few.
func lastBytes(r io.ReaderAt, size int64, n int) (data []byte, ok bool) {
	if n > maxInputAtHand {
		return nil, false
	}
	data = make([]byte, n)
	_, err := r.ReadAt(data, size-int64(n))
	return data, err == nil || err == io.EOF
}

// UncertainError is the error of a command that was sent to the server and may
// have run, or be running: the connection was lost or the context has ended
// before the answer came, or nobody knows which request the answer was for, or it
// has started without the terminal that was asked for, and was hung up. It is not
// sent a second time: whether that would do harm, only the caller can know.
//
// A command whose Start has failed with another error has not run.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string {
	return "nacre: the command may have run: " + strings.TrimPrefix(e.Err.Error(), "nacre: ")
}

// Unwrap returns why there was no answer.
func (e *UncertainError) Unwrap() error { return e.Err }

// Timeout tells whether time ran out, as [Error.Timeout] does.
func (e *UncertainError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}
