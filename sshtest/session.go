package sshtest

import (
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A HandlerFunc is a command, a shell or a subsystem of a server in the
// process. The result is the exit status, and ends the session; a negative
// status ends the session without an exit status. A handler should return once
// x.Done is closed.
type HandlerFunc func(x *Session) (status int)

// A Session is a command of a client (RFC 4254 section 6), as a [HandlerFunc]
// sees the command.
//
// Without a handler, the server itself runs these commands, with the meaning
// of a POSIX shell: true, false, cat, echo WORDS, exit N, env, printenv NAME,
// sleep SECONDS, stty size, wc -c, head -c N /dev/zero, and kill -SIGNAL $$.
// Each writes to stderr when >&2 is the last word, and a signal from the
// client ends each. There is no quoting.
type Session struct {
	Command string          // the command or the subsystem's name; empty for a shell
	Env     []string        // "name=value", of the client
	Conn    *ssh.ServerConn // below the session

	// AgentForwarding reports whether the client offered its agent. Channels of
	// type "auth-agent@openssh.com" on Conn lead to the agent.
	AgentForwarding bool

	Stdin  io.Reader // io.EOF after the client's end of file, or after the session
	Stdout io.Writer
	Stderr io.Writer

	// Signals and Resizes give the client's events during the command. When 16
	// events wait, new ones are dropped.
	Signals <-chan ssh.Signal
	Resizes <-chan Window

	channel ssh.Channel
	done    chan struct{}
	signals chan ssh.Signal
	resizes chan Window

	mu  sync.Mutex
	pty *PTY // nil without a request
}

// A Window is the size of a terminal (RFC 4254 section 6.7).
type Window struct {
	Columns, Rows uint32 // in characters
	Width, Height uint32 // in pixels
}

// A PTY is a client's terminal, of pty-req (RFC 4254 section 6.2).
type PTY struct {
	Term   string
	Window Window // the present one
	Modes  []byte // encoded as in RFC 4254 section 8
}

// PTY returns the terminal. Without a request for a terminal, ok is false.
func (x *Session) PTY() (pty PTY, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pty == nil {
		return PTY{}, false
	}
	return *x.pty, true
}

// Done returns a channel that is closed when the client has closed the session
// or is gone.
func (x *Session) Done() <-chan struct{} { return x.done }

// Abort tells the client of a signal by which the command died (RFC 4254
// section 6.10). The handler returns the result of Abort.
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

// session serves a session channel until the client has closed the channel.
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
			// The handler reads the fields set here.
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

// handler returns the handler that a request starts, or nil.
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

// prepare executes a request that precedes the command. Other requests have
// the result false.
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

// event executes a request that may come at any time, and never waits for the
// handler. A malformed request has the result false.
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
