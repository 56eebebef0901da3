package sshtest

import (
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A HandlerFunc is a command, a shell or a subsystem of a server in the
// process. When it returns, its session ends with that exit status; a
// negative status ends it without one. It should return once x.Done is
// closed.
type HandlerFunc func(x *Session) (status int)

// A Session is a command that runs for a client (RFC 4254 section 6), as its
// [HandlerFunc] sees it.
//
// Without a handler for it, the server itself knows these commands, and means
// by them what a POSIX shell does: true, false, cat, echo WORDS, exit N, env,
// printenv NAME, sleep SECONDS, stty size, wc -c, head -c N /dev/zero, and
// kill -SIGNAL $$. Any of them writes to stderr when >&2 is its last word.
// A signal from the client ends any of them. There is no quoting.
type Session struct {
	Command string          // the command or the subsystem's name; empty for a shell
	Env     []string        // "name=value", as the client sent them
	Conn    *ssh.ServerConn // what the session runs on

	// AgentForwarding is whether the client offered its agent, to which
	// channels of type "auth-agent@openssh.com" on Conn lead.
	AgentForwarding bool

	Stdin  io.Reader // io.EOF when the client has sent its end of file, or is gone
	Stdout io.Writer
	Stderr io.Writer

	// Signals and Resizes give what the client sends while the command runs;
	// what is not received is dropped once 16 of them wait.
	Signals <-chan ssh.Signal
	Resizes <-chan Window

	channel ssh.Channel
	done    chan struct{}
	signals chan ssh.Signal
	resizes chan Window

	mu  sync.Mutex
	pty *PTY // nil when the client did not ask for one
}

// A Window is the size of a terminal (RFC 4254 section 6.7).
type Window struct {
	Columns, Rows uint32 // in characters
	Width, Height uint32 // in pixels
}

// A PTY is what the client asked for with pty-req (RFC 4254 section 6.2).
type PTY struct {
	Term   string
	Window Window // the present one
	Modes  []byte // encoded as in RFC 4254 section 8
}

// PTY returns the terminal and whether the client asked for one.
func (x *Session) PTY() (PTY, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pty == nil {
		return PTY{}, false
	}
	return *x.pty, true
}

// Done is closed when the client has closed the session or is gone.
func (x *Session) Done() <-chan struct{} { return x.done }

// Abort tells the client that the command died of a signal (RFC 4254 section
// 6.10). Its result is for the handler to return.
func (x *Session) Abort(signal ssh.Signal, message string) (status int) {
	x.channel.SendRequest("exit-signal", false, ssh.Marshal(&exitSignalMsg{
		Signal:  string(signal),
		Message: message,
	}))
	return -1
}

// maxEnv bounds the variables of one session.
const maxEnv = 256

// The payloads of RFC 4254 sections 6.2 to 6.10.
type (
	ptyMsg struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        []byte
	}
	windowMsg struct {
		Columns, Rows, Width, Height uint32
	}
	envMsg struct {
		Name, Value string
	}
	nameMsg struct { // of a command, a subsystem or a signal
		Name string
	}
	exitStatusMsg struct {
		Status uint32
	}
	exitSignalMsg struct {
		Signal     string
		CoreDumped bool
		Message    string
		Language   string
	}
)

// session serves a session channel until the client has closed it.
func (c *conn) session(nc ssh.NewChannel) {
	channel, requests, err := nc.Accept()
	if err != nil {
		return
	}
	x := &Session{
		Conn:    c.ssh,
		Stdin:   channel,
		Stdout:  channel,
		Stderr:  channel.Stderr(),
		channel: channel,
		done:    make(chan struct{}),
		signals: make(chan ssh.Signal, 16),
		resizes: make(chan Window, 16),
	}
	x.Signals, x.Resizes = x.signals, x.resizes
	started := false
	for r := range requests {
		var h HandlerFunc
		ok := false
		switch {
		case r.Type == "signal" || r.Type == "window-change":
			ok = x.event(r)
		case !started:
			// The handler reads the fields that these set.
			h = c.handler(x, r)
			ok = h != nil || x.prepare(r)
		}
		r.Reply(ok, nil)
		if h != nil {
			started = true
			c.tasks.Go(func() { x.run(h) })
		}
	}
	close(x.done)
	if !started {
		channel.Close()
	}
}

// run ends the session the way OpenSSH does: end of file, status, close.
func (x *Session) run(h HandlerFunc) {
	status := h(x)
	x.channel.CloseWrite()
	if status >= 0 {
		x.channel.SendRequest("exit-status", false, ssh.Marshal(&exitStatusMsg{Status: uint32(status)}))
	}
	x.channel.Close()
}

// handler returns what a request starts, or nil where it starts nothing.
func (c *conn) handler(x *Session, r *ssh.Request) HandlerFunc {
	var msg nameMsg
	switch r.Type {
	case "shell":
		if c.options.Shell != nil {
			return c.options.Shell
		}
		return c.shell
	case "exec":
		if ssh.Unmarshal(r.Payload, &msg) != nil {
			return nil
		}
		x.Command = msg.Name
		return c.command(msg.Name)
	case "subsystem":
		if ssh.Unmarshal(r.Payload, &msg) != nil {
			return nil
		}
		x.Command = msg.Name
		return c.options.Subsystems[msg.Name]
	}
	return nil
}

// prepare does a request that comes before the command, and reports whether
// it is one.
func (x *Session) prepare(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		var msg envMsg
		if ssh.Unmarshal(r.Payload, &msg) != nil || len(x.Env) == maxEnv {
			return false
		}
		x.Env = append(x.Env, msg.Name+"="+msg.Value)
		return true
	case "pty-req":
		var msg ptyMsg
		if ssh.Unmarshal(r.Payload, &msg) != nil {
			return false
		}
		x.pty = &PTY{
			Term:   msg.Term,
			Window: Window{msg.Columns, msg.Rows, msg.Width, msg.Height},
			Modes:  msg.Modes,
		}
		return true
	case "auth-agent-req@openssh.com":
		x.AgentForwarding = true
		return true
	}
	return false
}

// event does a request that may come at any time, and reports whether it was
// well formed. It never waits for the handler.
func (x *Session) event(r *ssh.Request) bool {
	if r.Type == "signal" {
		var msg nameMsg
		if ssh.Unmarshal(r.Payload, &msg) != nil {
			return false
		}
		select {
		case x.signals <- ssh.Signal(msg.Name):
		default:
		}
		return true
	}
	var msg windowMsg
	if ssh.Unmarshal(r.Payload, &msg) != nil {
		return false
	}
	w := Window(msg)
	x.mu.Lock()
	if x.pty != nil {
		x.pty.Window = w
	}
	x.mu.Unlock()
	select {
	case x.resizes <- w:
	default:
	}
	return true
}
