package testshell

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Builtin runs a command that is written in Go, until the command ends or a
// signal from the client ends it. The commands, and what they mean in a POSIX
// shell too, are: true, false, cat, echo WORDS, exit N, env, printenv NAME,
// sleep SECONDS, stty size, wc -c, head -c N /dev/zero, and kill -SIGNAL $$.
// Each writes to stderr when >&2 is the last word. No words at all are true.
func (c *Command) Builtin(words []string) Exit {
	exit := make(chan Exit, 1)
	// After a signal the command may still wait for input. The end of the
	// session follows, and ends the input.
	c.Tasks.Go(func() { exit <- c.builtin(words) })
	select {
	case e := <-exit:
		return e
	case signal := <-c.Signals:
		return Exit{Signal: signal}
	}
}

// builtin is Builtin without signals from the client.
func (c *Command) builtin(words []string) Exit {
	out := c.Stdout
	if n := len(words); n > 0 && words[n-1] == ">&2" {
		out, words = c.Stderr, words[:n-1]
	}
	name, arg := "", ""
	if len(words) > 0 {
		name = words[0]
	}
	if len(words) > 1 {
		arg = words[1]
	}
	if name == "kill" {
		return Exit{Signal: ssh.Signal(strings.TrimPrefix(arg, "-"))}
	}
	return Exit{Status: c.status(name, arg, words, out)}
}

// status runs all commands but kill, and returns their exit status.
func (c *Command) status(name, arg string, words []string, out io.Writer) int {
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
		io.Copy(out, c.Stdin)
		return 0
	case "wc":
		n, _ := io.Copy(io.Discard, c.Stdin)
		fmt.Fprintln(out, n)
		return 0
	case "head":
		return c.head(words, out)
	case "env":
		for _, v := range c.Env {
			fmt.Fprintln(out, v)
		}
		return 0
	case "printenv":
		return c.printenv(arg, out)
	case "stty":
		return c.stty(out)
	case "sleep":
		return c.sleep(arg)
	}
	fmt.Fprintf(c.Stderr, "sh: %s: not found\n", name)
	return 127
}

// head writes zeros. Its words are head -c N /dev/zero.
func (c *Command) head(words []string, out io.Writer) int {
	if len(words) != 4 || words[1] != "-c" || words[3] != "/dev/zero" {
		fmt.Fprintln(c.Stderr, "head: only -c N /dev/zero is known")
		return 2
	}
	n, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		fmt.Fprintln(c.Stderr, "head:", err)
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

// printenv shows a variable. TERM is the terminal's, as in a shell.
func (c *Command) printenv(name string, out io.Writer) int {
	if terminal := c.Terminal(); terminal != nil && name == "TERM" {
		fmt.Fprintln(out, terminal.Term)
		return 0
	}
	for _, v := range c.Env {
		if n, value, _ := strings.Cut(v, "="); n == name {
			fmt.Fprintln(out, value)
			return 0
		}
	}
	return 1
}

// stty shows the size of the terminal at this moment, in the form of stty
// size.
func (c *Command) stty(out io.Writer) int {
	terminal := c.Terminal()
	if terminal == nil {
		fmt.Fprintln(c.Stderr, "stty: not a terminal")
		return 1
	}
	fmt.Fprintln(out, terminal.Rows, terminal.Columns)
	return 0
}

// sleep waits until its time or the session is over.
func (c *Command) sleep(arg string) int {
	var over <-chan time.Time
	if arg != "infinity" {
		d, err := time.ParseDuration(arg + "s")
		if err != nil {
			fmt.Fprintln(c.Stderr, "sleep:", err)
			return 1
		}
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
		return 0
	case <-c.Done:
		return -1
	}
}
