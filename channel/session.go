package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// Session is one session channel, RFC 4254 section 6: it runs one command,
// shell or subsystem. The channel's own methods are its streams: Write and
// CloseWrite are the command's standard input, Read its standard output,
// Stderr its standard error. Output that is not wanted must be closed, by
// CloseRead and Stderr().Close, or it fills the window and stops the command.
//
// Requests wait for nothing where they need not: Setenv and RequestPTY only
// send, and Start collects their answers together with its own, so that all of
// them take one round trip. All methods may be called concurrently, though
// the order of requests matters to the server.
type Session struct {
	*connection.Channel
	conn *connection.Conn // what it is on

	closing context.Context // ends at the beginning of our own Close
	close   context.CancelFunc

	sending turn       // guards the next two, while a request that will be answered is sent
	asked   []question // sent, answer not collected
	started bool

	collecting turn  // guards the next one, while Started waits for the answers
	refused    error // what Started has found

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

// NewSession opens a session channel. It does not run anything yet. When ctx
// ends, its error is returned; afterwards ctx has no effect on the session.
func NewSession(ctx context.Context, c *connection.Conn) (*Session, error) {
	s := newSession(c)
	ch, err := c.OpenChannel(ctx, "session", nil, s.handleRequest)
	if err != nil {
		return nil, wrap("open session", err)
	}
	s.Channel = ch
	return s, nil
}

// PresumeSession opens a session without waiting for the answer, presuming that
// the server gives its channel that number, as [connection.Conn.PresumeChannel]
// does: the open, all requests and a little input can leave in one flight. That
// the session was refused, Started tells.
func PresumeSession(ctx context.Context, c *connection.Conn, number uint32) (*Session, error) {
	s := newSession(c)
	ch, err := c.PresumeChannel(ctx, "session", nil, number, s.handleRequest)
	if err != nil {
		return nil, wrap("open session", err)
	}
	s.Channel = ch
	return s, nil
}

// Setenv asks for an environment variable of the command, RFC 4254 section
// 6.4. Servers accept few names; whether this one did, Start tells.
func (s *Session) Setenv(ctx context.Context, name, value string) error {
	return s.ask(ctx, fmt.Sprintf("environment variable %q", name), "env", ssh.Marshal(struct{ Name, Value string }{name, value}))
}

// Start runs a command, which the server usually hands to the user's shell.
// It returns once the server has agreed. If anything was refused, by now or in
// an earlier request, the session is closed and the refusal returned, a
// [*connection.RequestError]. The command may have begun then without what was
// refused: who minds that makes the request by [connection.Channel.Request],
// which waits for its answer.
//
// A session runs one thing only. If ctx ends before Start has returned, the
// session is closed, and ctx's error returned.
func (s *Session) Start(ctx context.Context, command string) error {
	if err := s.Exec(ctx, command); err != nil {
		return err
	}
	return s.Started(ctx)
}

// Exec sends what Start sends, and does not wait: Started collects the answers.
// If nothing could be sent, the session is closed and the error returned.
func (s *Session) Exec(ctx context.Context, command string) error {
	return s.begin(ctx, "run the command", "exec", ssh.Marshal(struct{ Command string }{command}))
}

// Shell runs the user's login shell, in all else as Start does.
func (s *Session) Shell(ctx context.Context) error {
	if err := s.begin(ctx, "run a shell", "shell", nil); err != nil {
		return err
	}
	return s.Started(ctx)
}

// Subsystem runs a subsystem such as "sftp", in all else as Start does.
func (s *Session) Subsystem(ctx context.Context, name string) error {
	what := fmt.Sprintf("run the subsystem %q", name)
	if err := s.begin(ctx, what, "subsystem", ssh.Marshal(struct{ Name string }{name})); err != nil {
		return err
	}
	return s.Started(ctx)
}

// Close closes the channel as [connection.Channel.Close] does. What runs may go
// on without it: end it by Signal before.
func (s *Session) Close() error {
	s.close()
	return s.Channel.Close()
}

// Signal sends a signal to what runs, RFC 4254 section 6.9. There is no
// answer, and some servers ignore it.
func (s *Session) Signal(ctx context.Context, sig ssh.Signal) error {
	_, err := s.SendRequest(ctx, "signal", false, ssh.Marshal(struct{ Signal string }{string(sig)}))
	return wrap("signal", err)
}

// Wait waits until the server has closed the channel, and tells how the
// command ended: nil for status 0, an [*ExitError] for another one or a signal.
// When neither came the error is [ErrNoExitStatus], and if that is because the
// connection was lost, the cause too; if it is because of our own Close, which
// ends the wait, net.ErrClosed. A command is never taken for well ended
// whose output may be cut short: a connection that is lost before the server has
// said that there is no more output is an error, whatever the status.
//
// The server closes the channel after its last output was read or discarded:
// do not wait before reading. When ctx ends, its error is returned; the command
// goes on, and Wait can be called again.
func (s *Session) Wait(ctx context.Context) error {
	select {
	case <-s.Done(): // counts, even when ctx has ended as well
	default:
		select {
		case <-s.Done():
		case <-s.closing.Done():
		case <-ctx.Done():
			return ctx.Err()
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

// turn is a lock whose holder may have to wait, so that those who wait for him
// can be let go. The Close of the session does that through the holder.
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
		return ctx.Err()
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
	return fmt.Errorf("channel: %s: the session has been started", what)
}

// begin sends the request that sets the session going.
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

// Started waits for the answers to all requests that were sent, as Start does
// after Exec. No answer is left behind; if several are refusals, the last one
// counts, so that a RequestError of another name than "exec" says that the
// command itself was not refused. Further calls return the same.
func (s *Session) Started(ctx context.Context) error {
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

// hasRun tells whether the command ran although the server did not say so. A
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

// ErrNoExitStatus says that a session ended without telling how: the server
// sent neither exit-status nor exit-signal.
var ErrNoExitStatus = errors.New("channel: the session ended without an exit status")
