package sshtest

import (
	"bufio"
	"strings"

	"github.com/nacre-ssh/nacre/internal/testshell"
)

// command returns the handler of a command line. A handler of the whole line
// comes first, then a handler of the first word, then a real shell if
// Options.Exec allows, and then the commands of testshell.
func (c *conn) command(line string) HandlerFunc {
	if h := c.options.Handlers[line]; h != nil {
		return h
	}
	words := strings.Fields(line)
	if len(words) > 0 {
		if h := c.options.Handlers[words[0]]; h != nil {
			return h
		}
	}
	return func(x *Session) int {
		if c.options.Exec {
			return x.end(c.shellCommand(x).Exec("sh", "-c", line))
		}
		return x.end(c.shellCommand(x).Builtin(words))
	}
}

// shell runs commands line by line until the input ends or a line says exit.
func (c *conn) shell(x *Session) int {
	if c.options.Exec {
		return x.end(c.shellCommand(x).Exec("sh"))
	}
	lines := bufio.NewReader(x.Stdin)
	x.Stdin = lines
	status := 0
	for {
		line, err := lines.ReadString('\n')
		words := strings.Fields(line)
		if len(words) > 0 {
			x.Command = strings.TrimSpace(line)
			status = c.command(x.Command)(x)
		}
		if err != nil || status < 0 || len(words) > 0 && words[0] == "exit" {
			return status
		}
	}
}

// shellCommand returns the session in testshell's terms.
func (c *conn) shellCommand(x *Session) *testshell.Command {
	return &testshell.Command{
		Env:   x.Env,
		Stdin: x.Stdin, Stdout: x.Stdout, Stderr: x.Stderr,
		Signals: x.Signals, Done: x.done,
		Terminal: func() *testshell.Terminal {
			pty, ok := x.PTY()
			if !ok {
				return nil
			}
			return &testshell.Terminal{Term: pty.Term, Rows: pty.Window.Rows, Columns: pty.Window.Columns}
		},
		Tasks: &c.tasks,
	}
}

// end tells the client of a command's signal, and returns the handler's
// result.
func (x *Session) end(exit testshell.Exit) (status int) {
	if exit.Signal != "" {
		return x.Abort(exit.Signal, "")
	}
	return exit.Status
}
