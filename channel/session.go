package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// Session is a session channel, RFC 4254 section 6, and runs a single command, shell or
// subsystem. The channel's own methods are the command's streams: Write and CloseWrite the
// standard input, Read the standard output, Stderr the standard error. Close unwanted output by
// CloseRead and Stderr().Close: unread output fills the window and stops the command.
//
// Requests wait no longer than necessary: Setenv and RequestPTY only send, and Start collects
// their answers together with its own, so that all requests take a single round trip. All
// methods may be called concurrently, but the order of requests matters to the server.
type Session struct {
	*connection.Channel
	conn *connection.Conn // the connection of the channel

	closing context.Context // ends at the beginning of our own Close
	close   context.CancelFunc

	sending turn       // guards the next two, while a request with an answer is sent
	asked   []question // sent, answer not collected
	started bool

	collecting turn  // guards the next field, while WaitStart waits for the answers
	refused    error // the refusal that WaitStart has found

	mu   sync.Mutex // guards exit
	exit *ExitError // the first exit-status or exit-signal; nil: none came
}

func newSession(c *connection.Conn) *Session {
	s := &Session{conn: c, sending: make(turn, 1), collecting: make(turn, 1)}
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

// question is a request whose answer somebody has yet to collect.
type question struct {
	what    string
	pending *connection.Pending
}

// NewSession opens a session channel, and runs nothing yet. When ctx ends, its errors are
// returned; afterwards ctx has no effect on the session.
func NewSession(ctx context.Context, c *connection.Conn) (*Session, error) {
	s := newSession(c)
	ch, err := c.OpenChannel(ctx, "session", nil, s.handleRequest)
	if err != nil {
		return nil, wrap("open session", err)
	}
	s.Channel = ch
	return s, nil
}

// NewSessionEarly opens a session without waiting for the answer. The server has to give its
// channel the given number, as for [connection.Conn.OpenChannelEarly]: the open, all requests
// and a little input can leave in one flight. WaitStart returns the refusal of the session.
func NewSessionEarly(ctx context.Context, c *connection.Conn, number uint32) (*Session, error) {
	s := newSession(c)
	ch, err := c.OpenChannelEarly(ctx, "session", nil, number, s.handleRequest)
	if err != nil {
		return nil, wrap("open session", err)
	}
	s.Channel = ch
	return s, nil
}

// Setenv asks for an environment variable of the command, RFC 4254 section 6.4. Servers accept
// few names; Start reports whether the server refused.
func (s *Session) Setenv(ctx context.Context, name, value string) error {
	return s.ask(ctx, fmt.Sprintf("environment variable %q", name), "env", ssh.Marshal(struct{ Name, Value string }{name, value}))
}

// Start runs a command, usually in the user's shell, and returns once the server has agreed. If
// the server has refused the command or an earlier request, the session is closed and the
// refusal returned, a [*connection.RequestError]. The command may have begun then without the
// refused part. Callers that cannot accept that make the request by
// [connection.Channel.Request] first, which waits for its answer.
//
// A session starts once only. If ctx ends before Start has returned, the session is closed, and
// the errors of ctx are returned.
func (s *Session) Start(ctx context.Context, command string) error {
	if err := s.Exec(ctx, command); err != nil {
		return err
	}
	return s.WaitStart(ctx)
}

// Exec sends the request of Start without waiting: WaitStart collects the answers. If nothing
// could be sent, the session is closed and the error returned.
func (s *Session) Exec(ctx context.Context, command string) error {
	return s.begin(ctx, "run the command", "exec", ssh.Marshal(struct{ Command string }{command}))
}

// Shell runs the user's login shell, in all else as Start does.
func (s *Session) Shell(ctx context.Context) error {
	if err := s.begin(ctx, "run a shell", "shell", nil); err != nil {
		return err
	}
	return s.WaitStart(ctx)
}

// Subsystem runs a subsystem, for example "sftp", in all else as Start does.
func (s *Session) Subsystem(ctx context.Context, name string) error {
	what := fmt.Sprintf("run the subsystem %q", name)
	if err := s.begin(ctx, what, "subsystem", ssh.Marshal(struct{ Name string }{name})); err != nil {
		return err
	}
	return s.WaitStart(ctx)
}

// Close closes the channel as [connection.Channel.Close] does. The command may go on without
// its channel: send a Signal before to end the command.
func (s *Session) Close() error {
	s.close()
	return s.Channel.Close()
}

// Signal sends a signal to the command, RFC 4254 section 6.9. There is no answer, and some
// servers ignore signals.
func (s *Session) Signal(ctx context.Context, sig ssh.Signal) error {
	_, err := s.SendRequest(ctx, "signal", false, ssh.Marshal(struct{ Signal string }{string(sig)}))
	return wrap("signal", err)
}

// Wait waits until the server has closed the channel, and tells how the command ended: nil for
// status 0, an [*ExitError] for another status or a signal. Without a status or signal the
// error is [ErrNoExitStatus], joined with the cause when the connection was lost, and with
// net.ErrClosed after our own Close, which ends the wait. Output that may be cut short is an
// error whatever the status: the connection was lost before the server had sent EOF.
//
// The server closes the channel after its last output was read or discarded: do not wait before
// reading. When ctx ends, its errors are returned; the command goes on, and Wait can be called
// again.
func (s *Session) Wait(ctx context.Context) error {
	select {
	case <-s.Done(): // counts, even when ctx has ended as well
	default:
		select {
		case <-s.Done():
		case <-s.closing.Done():
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
	}
	lost := s.Channel.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.exit == nil && lost == nil:
		return ErrNoExitStatus
	case s.exit == nil:
		return fmt.Errorf("%w: %w", ErrNoExitStatus, lost)
	case lost != nil && !(errors.Is(lost, net.ErrClosed) && s.AtEOF()):
		return fmt.Errorf("channel: the command has ended, but its output may not be whole: %w", lost)
	case s.exit.Status == 0:
		return nil
	}
	exit := *s.exit // the caller may fill in Stderr
	return &exit
}

// ask sends a request whose answer start collects.
func (s *Session) ask(ctx context.Context, what, name string, payload []byte) error {
	if err := s.sending.take(ctx); err != nil {
		return wrap(what, err)
	}
	defer s.sending.pass()
	if s.started {
		return errStarted(what)
	}
	return s.send(ctx, what, name, payload)
}

// turn is a lock whose wait a context can end. A holder may have to wait for the server;
// the Close of the session ends the holder's wait.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

func (t turn) pass() { <-t }

// send is called by whoever has the turn: requests go out in the order of
// s.asked.
func (s *Session) send(ctx context.Context, what, name string, payload []byte) error {
	pending, err := s.SendRequest(ctx, name, true, payload)
	if err != nil {
		return wrap(what, err)
	}
	s.asked = append(s.asked, question{what, pending})
	return nil
}

func errStarted(what string) error {
	return fmt.Errorf("channel: %s: the session has been started; open another", what)
}

// begin sends the request to start the session.
func (s *Session) begin(ctx context.Context, what, name string, payload []byte) error {
	if err := s.sending.take(ctx); err != nil {
		s.Close()
		return wrap(what, err)
	}
	defer s.sending.pass()
	if s.started {
		return errStarted(what)
	}
	s.started = true
	err := s.send(ctx, what, name, payload)
	if err != nil {
		s.asked = nil
		s.Close()
	}
	return err
}

// WaitStart waits for the answers to all requests sent before, as Start does after Exec, and
// leaves no answer behind. Of several refusals the last counts: a RequestError of another name
// than "exec" says that the command itself was not refused. Further calls return the same.
func (s *Session) WaitStart(ctx context.Context) error {
	if err := s.collecting.take(ctx); err != nil {
		return wrap("start", err)
	}
	defer s.collecting.pass()
	if err := s.sending.take(ctx); err != nil {
		return wrap("start", err)
	}
	failed := s.refused
	asked := s.asked
	s.asked = nil
	s.sending.pass()
	for _, q := range asked {
		if _, err := q.pending.Wait(ctx); err != nil {
			failed = wrap(q.what, err)
		}
	}
	if failed == nil || s.hasRun(ctx, failed) {
		return nil
	}
	s.Close()
	s.refused = failed
	return failed
}

// hasRun reports whether the command ran although the server did not say so. A
// server on threads (paramiko 2.12, say) can send the output of a short command
// and close the channel before its answer to the request.
func (s *Session) hasRun(ctx context.Context, failed error) bool {
	var refused *connection.RequestError
	if errors.As(failed, &refused) {
		return false
	}
	select {
	case <-s.Done():
	case <-s.closing.Done():
		return false
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit != nil
}

// handleRequest takes the server's requests about this channel.
func (s *Session) handleRequest(_ context.Context, r *connection.Request) ([]byte, bool) {
	var exit *ExitError
	switch r.Name {
	case "exit-status":
		exit = parseExitStatus(r.Payload)
	case "exit-signal":
		exit = parseExitSignal(r.Payload)
	}
	if exit == nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exit == nil {
		s.exit = exit
	}
	return nil, true
}

// ErrNoExitStatus is the end of a session without exit-status and without exit-signal.
var ErrNoExitStatus = errors.New("channel: the session ended without an exit status")
