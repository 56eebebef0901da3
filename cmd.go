package nacre

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// Cmd is a command on the server, in the words of os/exec. [Command] and
// [Client.Command] make a Cmd, which runs once.
type Cmd struct {
	// Command is the command line. Servers hand the line to the user's login
	// shell.
	Command string

	// Stdin is copied to the command's standard input until Stdin ends; nil is an
	// empty input. Wait does not wait for that: a copy that waits in Stdin.Read
	// when the command ends stays there until Read returns, and the bytes are
	// lost.
	Stdin io.Reader

	// Stdout and Stderr get the command's output; nil drops it. If both are
	// the same writer, only one goroutine at a time calls Write. Wait returns
	// when no call of Write is left, except for a call that takes more than 50 ms
	// after the end of the context has closed the session.
	Stdout io.Writer
	Stderr io.Writer

	// Env are variables as "NAME=value", sent as requests. Servers refuse most
	// names (see AcceptEnv in sshd_config). A refused variable is an error of
	// Start, before anything runs, unless one of the next two fields is set. To
	// wait for the answers costs a round trip.
	Env []string

	// EnvOptional has the command run without the variables that the server
	// refuses. Command and variables leave together then, which saves a round
	// trip. With EnvOptional, EnvFallback has no effect.
	EnvOptional bool

	// EnvFallback sets refused variables by a prefix: the server is given "env
	// NAME=value sh -c 'command'" to run. The server needs a POSIX shell, and
	// shows the values in its list of processes.
	EnvFallback bool

	// PTY asks for a pseudo-terminal. If the server refuses the terminal, the
	// command may have started without; Start fails with an UncertainError then.
	// All output comes by Stdout. A nil Stdin leaves the terminal's input open:
	// some servers, Dropbear 2026.94 among them, hang up a terminal whose input
	// ends.
	PTY *channel.PTY

	// ForwardAgent connects to an agent, as identity.SystemAgent does. The agent
	// is offered to the command: while the command runs, the server, and whoever
	// controls the server, can log in elsewhere with the agent's keys. Keys with
	// constraints (ssh-add -h) stay within them. nil forwards none. On a server
	// that does not allow forwarding, the command runs without; see
	// [channel.Session.ForwardAgent]. ctx ends with the command.
	ForwardAgent func(ctx context.Context) (net.Conn, error)

	// Cancel is called when the context has ended while the command runs; nil
	// sends the signal TERM to the command. The error of Cancel is ignored. Wait
	// waits for Cancel as long as WaitDelay says, and 50 ms at least.
	//
	// Not every server delivers signals: OpenSSH's sshd does not to a command of
	// root, a forced command or a subsystem. A command without a terminal also
	// outlives its session there. What helps is a PTY, whose hang-up ends the
	// command, a command like "timeout 1h …", or a Cancel that runs "kill" in
	// another session of Client.
	Cancel func() error

	// WaitDelay is how long the command may go on after the end of the context,
	// before the session is closed and Wait returns: 0 is 2 seconds, negative is
	// no time. If the context ends between the request for the command and its
	// answer, Start waits that long for the answer first; a command that has
	// started is then for Cancel.
	WaitDelay time.Duration

	// Client is the connection that the command runs on. For a Cmd of the
	// function Command, a successful Start sets Client, and Wait closes the
	// client, unless KeepClient is set: then the caller goes on with the client,
	// and closes it.
	Client     *Client
	KeepClient bool

	// Session is the session that the command runs in, for Signal and Resize.
	// Start sets Session when the command has started.
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

	// running ends when nobody waits for the session any more: the session has
	// ended, or was closed because the end of the context did not end the command.
	running context.Context
	stop    context.CancelFunc
	watch   func() bool // stops waiting for the context's end
}

// Command returns a command to run on the server. ctx is for all of the command's
// life: when ctx ends first, Cancel is called, WaitDelay granted, and the session
// closed.
//
// To OpenSSH and Dropbear, the first command on a client leaves together with
// the open of its session, unless the client was used for something else
// before. A server that allows no session (MaxSessions 0) ends the connection
// then. Config.DisableEarly, or a call of Conn, avoids that end.
func (c *Client) Command(ctx context.Context, command string) *Cmd {
	cmd := &Cmd{Command: command, Client: c, ctx: ctx}
	cmd.ready, cmd.started = context.WithCancel(context.Background())
	return cmd
}

// Command returns a command to run on a target that is not connected yet. Start
// dials, as [Dial] does, and sends the command right behind the request that
// authenticates the user, if the server bears that. The command takes 3 round
// trips, and 2 if the server is in the Config's Memory; see [Cmd].Client for what
// becomes of the connection.
//
// The command runs once at the most. When a connection fails because of early
// messages, a second connection is made, but only if nothing has started for
// certain; otherwise the error is an [*UncertainError].
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

// Run starts the command and waits for its end. Run returns the error of Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command, and returns when the server has agreed to run the
// command. If Start returns nil, Wait must be called. The error wraps the server's
// refusal, a *connection.OpenError or a *connection.RequestError, or the error of
// the context or of the connection; in an [*UncertainError] if the command may run
// all the same. A Cmd that dials fails like [Dial], too.
func (c *Cmd) Start() error {
	if c.called {
		return errors.New("nacre: the command was started before: a Cmd runs once")
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
	ctx := newGrace(c.ctx, c.waitDelay())
	defer ctx.close()
	s := &starting{cmd: c, env: env, grace: ctx}
	if c.Client == nil {
		if c.Client, err = dial(ctx, c.target, c.config, s); err != nil {
			return err
		}
		c.dialled = true
	}
	if s.session == nil {
		err = s.send(ctx, c.Client)
	}
	if err == nil {
		err = s.finish(ctx)
	}
	if err != nil {
		err = s.giveUp(ctxerr.Join(c.ctx, err))
		if c.dialled {
			if errors.Is(err, errDropped) {
				rememberInTurn(c.target, c.config)
			}
			c.Client.Close()
			c.Client = nil
		}
		return err
	}
	c.Session = s.session
	c.running, c.stop = context.WithCancel(context.Background())
	c.startCopying(s.input)
	c.watch = context.AfterFunc(c.ctx, c.interrupt)
	return nil
}

// Output runs the command and returns its standard output. Where Stderr is nil,
// an ExitError has the last 32 KiB of the standard error.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("nacre: Cmd.Stdout is set, which Output needs for itself: use Run")
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
		return nil, errors.New("nacre: Cmd.Stdout or Cmd.Stderr is set, which CombinedOutput needs for itself: use Run")
	}
	var both buffer
	c.Stdout, c.Stderr = &both, &both
	err := c.Run()
	return both.bytes(), err
}
