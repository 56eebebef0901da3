package sshtest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// command returns what runs a command line: a handler named by the whole line
// or by its first word, else a real shell where that is allowed, else one of
// the server's own commands.
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
	if c.options.Exec {
		return func(x *Session) int { return c.exec(x, "sh", "-c", line) }
	}
	return func(x *Session) int { return c.builtin(x, words) }
}

// shell runs commands line by line until the input ends or a line says exit.
func (c *conn) shell(x *Session) int {
	if c.options.Exec {
		return c.exec(x, "sh")
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

// builtin runs one of the commands that Session documents, until it ends or a
// signal from the client ends it.
func (c *conn) builtin(x *Session, words []string) int {
	status := make(chan int, 1)
	// After a signal it may still wait for input; the end of the session,
	// which follows, is the end of that.
	c.tasks.Go(func() { status <- x.builtin(words) })
	select {
	case n := <-status:
		return n
	case signal := <-x.Signals:
		return x.Abort(signal, "")
	}
}

func (x *Session) builtin(words []string) int {
	out := x.Stdout
	if n := len(words); n > 0 && words[n-1] == ">&2" {
		out, words = x.Stderr, words[:n-1]
	}
	name, arg := "", ""
	if len(words) > 0 {
		name = words[0]
	}
	if len(words) > 1 {
		arg = words[1]
	}
	switch name {
	case "", "true":
		return 0
	case "false":
		return 1
	case "echo":
		fmt.Fprintln(out, strings.Join(words[1:], " "))
		return 0
	case "exit":
		n, _ := strconv.ParseUint(arg, 10, 8)
		return int(n)
	case "cat":
		io.Copy(out, x.Stdin)
		return 0
	case "wc":
		n, _ := io.Copy(io.Discard, x.Stdin)
		fmt.Fprintln(out, n)
		return 0
	case "head":
		return x.head(words, out)
	case "env":
		for _, v := range x.Env {
			fmt.Fprintln(out, v)
		}
		return 0
	case "printenv":
		return x.printenv(arg, out)
	case "stty":
		return x.stty(out)
	case "sleep":
		return x.sleep(arg)
	case "kill":
		return x.Abort(ssh.Signal(strings.TrimPrefix(arg, "-")), "")
	}
	fmt.Fprintf(x.Stderr, "sh: %s: not found\n", name)
	return 127
}

// head writes zeros; its words are head -c N /dev/zero.
func (x *Session) head(words []string, out io.Writer) int {
	if len(words) != 4 || words[1] != "-c" || words[3] != "/dev/zero" {
		fmt.Fprintln(x.Stderr, "head: only -c N /dev/zero is known")
		return 2
	}
	n, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		fmt.Fprintln(x.Stderr, "head:", err)
		return 1
	}
	for zeros := make([]byte, 32<<10); n > 0; {
		m, err := out.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return 1
		}
		n -= int64(m)
	}
	return 0
}

// printenv shows a variable, and TERM where there is a terminal.
func (x *Session) printenv(name string, out io.Writer) int {
	if pty, ok := x.PTY(); ok && name == "TERM" {
		fmt.Fprintln(out, pty.Term)
		return 0
	}
	for _, v := range x.Env {
		if n, value, _ := strings.Cut(v, "="); n == name {
			fmt.Fprintln(out, value)
			return 0
		}
	}
	return 1
}

func (x *Session) stty(out io.Writer) int {
	pty, ok := x.PTY()
	if !ok {
		fmt.Fprintln(x.Stderr, "stty: not a terminal")
		return 1
	}
	fmt.Fprintln(out, pty.Window.Rows, pty.Window.Columns)
	return 0
}

// sleep waits for the end of its time or of the session.
func (x *Session) sleep(arg string) int {
	var over <-chan time.Time
	if arg != "infinity" {
		d, err := time.ParseDuration(arg + "s")
		if err != nil {
			fmt.Fprintln(x.Stderr, "sleep:", err)
			return 1
		}
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
		return 0
	case <-x.Done():
		return -1
	}
}
