package nacre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
)

const (
	defaultWaitDelay = 2 * time.Second       // Cmd.WaitDelay where it is 0
	signalGrace      = 50 * time.Millisecond // for queueing TERM where WaitDelay is less
)

// Cmd is a command on the server, in the words of os/exec. It runs once.
type Cmd struct {
	// Command is the command line. Servers hand it to the user's login shell.
	Command string

	// Stdin is copied to the command's standard input until it ends; nil is an
	// empty one. Wait does not wait for it: a copy that waits in Stdin.Read
	// when the command ends stays there until that returns, and what it has
	// read is lost.
	Stdin io.Reader

	// Stdout and Stderr get the command's output; nil drops it. If both are
	// the same writer, only one goroutine at a time calls Write.
	Stdout io.Writer
	Stderr io.Writer

	// Env are variables as "NAME=value", sent as requests, which cost a round
	// trip. Servers refuse most names (see AcceptEnv in sshd_config). One that
	// is refused is an error of Start, before anything runs, unless
	// EnvFallback is set.
	Env []string

	// EnvFallback sets the variables that the server refuses by a prefix: it
	// gets "env NAME=value sh -c 'command'" to run. That takes a server with a
	// POSIX shell, and shows the values in its list of processes.
	EnvFallback bool

	// PTY asks for a pseudo-terminal. All output comes by Stdout then. A nil
	// Stdin leaves the terminal's input open: some servers (Dropbear 2026.94,
	// say) hang up a terminal whose input ends.
	PTY *channel.PTY

	// Cancel is called when the context has ended while the command runs; nil
	// sends it the signal TERM. Its error is ignored.
	Cancel func() error

	// WaitDelay is how long the command may go on after that, before its
	// session is closed and Wait returns: 0 is 2 seconds, negative is no time.
	WaitDelay time.Duration

	// Session is the session that the command runs in: for Signal and Resize.
	// Start sets it when the command has started.
	Session *channel.Session

	client *Client
	ctx    context.Context

	called   bool            // Start was
	waited   atomic.Bool     // Wait was called
	ready    context.Context // ends when Start is done
	started  context.CancelFunc
	startErr error // the result of Start
	streams  streams

	// running ends when nobody waits for the session any more: it has ended,
	// or it was closed because the context's end did not end it.
	running context.Context
	stop    context.CancelFunc
	watch   func() bool // stops waiting for the context's end
}

// Command returns a command to run on the server. ctx is for all of its life:
// when it ends first, Cancel is called, WaitDelay granted, and the session
// closed.
func (c *Client) Command(ctx context.Context, command string) *Cmd {
	cmd := &Cmd{Command: command, client: c, ctx: ctx}
	cmd.ready, cmd.started = context.WithCancel(context.Background())
	return cmd
}

// Run starts the command and waits for its end. It returns what Wait returns.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command, and returns when the server has agreed to run it.
// If it returns nil, Wait must be called. Its error wraps the server's refusal,
// a *connection.OpenError or a *connection.RequestError, or is that of the
// context or of the connection.
func (c *Cmd) Start() error {
	if c.called {
		return errors.New("nacre: the command was started before")
	}
	c.called = true
	defer c.started() // the pipes wait for it
	c.startErr = c.start()
	return c.startErr
}

func (c *Cmd) start() error {
	if err := c.checkStreams(); err != nil {
		return err
	}
	env, err := parseEnv(c.Env)
	if err != nil {
		return err
	}
	s, err := channel.NewSession(c.ctx, c.client.conn)
	if err != nil {
		return err
	}
	if err := c.startSession(s, env); err != nil {
		s.Close()
		return err
	}
	c.Session = s
	c.running, c.stop = context.WithCancel(context.Background())
	c.startCopying()
	c.watch = context.AfterFunc(c.ctx, c.interrupt)
	return nil
}

// startSession makes the requests: variables first, because the command line
// may depend on what becomes of them, terminal and command together.
func (c *Cmd) startSession(s *channel.Session, env []variable) error {
	c.closeUnused(s)
	refused, err := setenv(c.ctx, s, env)
	if err != nil {
		return err
	}
	command := c.Command
	if len(refused) > 0 {
		if !c.EnvFallback {
			return refused[0].err
		}
		if command, err = withEnv(refused, command); err != nil {
			return err
		}
	}
	if c.PTY != nil {
		if err := s.RequestPTY(c.ctx, *c.PTY); err != nil {
			return err
		}
	}
	return s.Start(c.ctx, command)
}

// Wait waits until the command has ended and its output is copied. The error
// is nil for status 0, a [*channel.ExitError] for another status or a signal,
// and something else where the status is not known or the output not whole:
// [channel.ErrNoExitStatus], a lost connection, a reader or writer of the
// caller's that has failed. If the context ended first, and the command not
// well, its error is wrapped as well.
//
// Whoever reads from a pipe reads to its end before calling Wait, as in os/exec.
func (c *Cmd) Wait() error {
	if c.Session == nil {
		return errors.New("nacre: the command was not started")
	}
	if c.waited.Swap(true) {
		return errors.New("nacre: Wait was called before")
	}
	err := c.Session.Wait(c.running)
	if err == context.Canceled { // of running: the session was given up
		err = channel.ErrNoExitStatus
	}
	if copyErr := c.waitCopying(); err == nil {
		err = copyErr
	}
	interrupted := !c.watch()
	c.stop()
	if interrupted && err != nil {
		return fmt.Errorf("nacre: command interrupted: %w (%w)", withCause(c.ctx, c.ctx.Err()), err)
	}
	return err
}

// interrupt runs when the context has ended before the command, on a goroutine
// of its own that ends with the command, or by closing the session.
func (c *Cmd) interrupt() {
	delay := c.WaitDelay
	if delay == 0 {
		delay = defaultWaitDelay
	}
	ctx, cancel := context.WithTimeout(c.running, max(delay, 0))
	defer cancel()
	if c.Cancel != nil {
		_ = c.Cancel()
	} else {
		c.terminate(max(delay, signalGrace))
	}
	<-ctx.Done()
	c.Session.Close()
	c.stop()
}

// terminate sends the signal TERM, unless the peer is not reading for so long.
func (c *Cmd) terminate(grace time.Duration) {
	ctx, cancel := context.WithTimeout(c.running, grace)
	defer cancel()
	_ = c.Session.Signal(ctx, ssh.SIGTERM)
}

// Output runs the command and returns its standard output. Where Stderr is nil,
// the last 32 KiB of the standard error are in the ExitError, if there is one.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("nacre: Stdout is set already")
	}
	var stdout buffer
	c.Stdout = &stdout
	var stderr tail
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	var exit *channel.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = stderr.bytes()
	}
	return stdout.bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard
// error in the order in which they were received.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("nacre: Stdout or Stderr is set already")
	}
	var both buffer
	c.Stdout, c.Stderr = &both, &both
	err := c.Run()
	return both.bytes(), err
}
