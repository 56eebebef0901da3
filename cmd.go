package nacre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	// the same writer, only one goroutine at a time calls Write. Wait returns
	// when no call of Write is left, but for one that takes more than 50 ms
	// after the session was closed because the context has ended.
	Stdout io.Writer
	Stderr io.Writer

	// Env are variables as "NAME=value", sent as requests. Servers refuse most
	// names (see AcceptEnv in sshd_config). One that is refused is an error of
	// Start, before anything runs, unless one of the next two is set. Knowing
	// that costs a round trip.
	Env []string

	// EnvOptional has the command run without the variables that the server
	// refuses. It saves that round trip: the command leaves with them. With it,
	// EnvFallback has no effect.
	EnvOptional bool

	// EnvFallback sets the variables that the server refuses by a prefix: it
	// gets "env NAME=value sh -c 'command'" to run. That takes a server with a
	// POSIX shell, and shows the values in its list of processes.
	EnvFallback bool

	// PTY asks for a pseudo-terminal. If the server refuses it, the command may
	// have started without: then Start fails with an UncertainError. All output comes by Stdout then. A nil
	// Stdin leaves the terminal's input open: some servers (Dropbear 2026.94,
	// say) hang up a terminal whose input ends.
	PTY *channel.PTY

	// ForwardAgent connects to an agent, as identity.SystemAgent does, that is
	// offered to the command: while it runs, the server can connect to it and log
	// in elsewhere with its keys, and so can whoever controls the server. Keys
	// that the agent holds for certain ways only (ssh-add -h) stay on these. nil
	// forwards none. On a server that does not allow it, the command runs without;
	// see [channel.Session.ForwardAgent]. ctx ends with the command.
	ForwardAgent func(ctx context.Context) (net.Conn, error)

	// Cancel is called when the context has ended while the command runs; nil
	// sends it the signal TERM. Its error is ignored. It is waited for as long
	// as WaitDelay says, and for 50 ms where that is less.
	Cancel func() error

	// WaitDelay is how long the command may go on after that, before its
	// session is closed and Wait returns: 0 is 2 seconds, negative is no time.
	WaitDelay time.Duration

	// Client is the connection that the command runs on. To a Cmd of the
	// function Command, Start gives one if it succeeds, and Wait closes it
	// unless KeepClient is set: then the caller goes on with it, and closes it.
	Client     *Client
	KeepClient bool

	// Session is the session that the command runs in: for Signal and Resize.
	// Start sets it when the command has started.
	Session *channel.Session

	ctx context.Context

	target  string // of a command that dials
	config  *Config
	dialled bool

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
//
// To OpenSSH and Dropbear, the first command on a client leaves together with
// the open of its session, unless the client was used for something else
// before. A server that allows no session (MaxSessions 0) ends the connection
// then. Config.Cautious, or a call of Conn, avoids it.
func (c *Client) Command(ctx context.Context, command string) *Cmd {
	cmd := &Cmd{Command: command, Client: c, ctx: ctx}
	cmd.ready, cmd.started = context.WithCancel(context.Background())
	return cmd
}

// Command returns a command to run on a target that is not connected yet:
// Start dials, as [Dial] does, and because it knows what is to be done, sends
// the command right behind the request that authenticates the user, if the
// server is one that bears it. That takes 3 round trips, and 2 if the server is
// in the Config's Memory; see [Cmd].Client for what becomes of the connection.
//
// The command runs once at the most. When a connection fails for what was
// sent on it before its turn, a second one is made, but only if it is certain
// that nothing has started; otherwise the error is an [*UncertainError].
//
// ctx is for dialling and all of the command's life.
func Command(ctx context.Context, target string, config *Config, command string) *Cmd {
	if config == nil {
		config = new(Config) // an error of Start
	}
	cmd := (*Client)(nil).Command(ctx, command)
	cmd.target, cmd.config = target, config
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
// context or of the connection: an [*UncertainError] if the command may run all
// the same. A Cmd that dials fails as [Dial] does, too.
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
	l := &launch{cmd: c, env: env}
	if c.Client == nil {
		if c.Client, err = connect(c.ctx, c.target, c.config, l); err != nil {
			return err
		}
		c.dialled = true
	}
	if l.session == nil {
		err = l.send(c.ctx, c.Client)
	}
	if err == nil {
		err = l.finish(c.ctx)
	}
	if err != nil {
		err = l.failed(err)
		if c.dialled {
			if errors.Is(err, errDropped) {
				learnCaution(c.target, c.config)
			}
			c.Client.Close()
			c.Client = nil
		}
		return err
	}
	c.Session = l.session
	c.running, c.stop = context.WithCancel(context.Background())
	c.startCopying(l.input)
	c.watch = context.AfterFunc(c.ctx, c.interrupt)
	return nil
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
	if c.dialled && !c.KeepClient {
		c.Client.Close()
	}
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
	grace, stop := context.WithTimeout(c.running, max(delay, signalGrace))
	defer stop()
	cancelCommand := c.Cancel
	if cancelCommand == nil {
		cancelCommand = func() error { return c.Session.Signal(grace, ssh.SIGTERM) }
	}
	asked := make(chan struct{})
	go func() { // a Cancel that does not return shall not keep the session
		defer close(asked)
		_ = cancelCommand()
	}()
	select {
	case <-asked:
	case <-grace.Done():
	}
	<-ctx.Done()
	c.stop()
	c.Session.Close()
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
