package nacre_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
)

// embedded returns a client of a server in the process. handlers are further
// commands of the server.
func embedded(t *testing.T, handlers map[string]sshtest.HandlerFunc) *nacre.Client {
	t.Helper()
	return dial(t, sshtest.NewServer(t, &sshtest.Options{Handlers: handlers}), nil)
}

func TestWordsOfOSExec(t *testing.T) {
	client := embedded(t, nil)
	var b bytes.Buffer
	started := func(change func(c *nacre.Cmd)) *nacre.Cmd {
		c := client.Command(t.Context(), "cat")
		if change != nil {
			change(c)
		}
		require.NoError(t, c.Start())
		t.Cleanup(func() { c.Session.Close() })
		return c
	}
	fresh := func(change func(c *nacre.Cmd)) *nacre.Cmd {
		c := client.Command(t.Context(), "cat")
		change(c)
		return c
	}
	ended := started(nil)
	require.NoError(t, ended.Wait())
	stdinPipe := func(c *nacre.Cmd) error { _, err := c.StdinPipe(); return err }
	stdoutPipe := func(c *nacre.Cmd) error { _, err := c.StdoutPipe(); return err }
	stderrPipe := func(c *nacre.Cmd) error { _, err := c.StderrPipe(); return err }
	output := func(c *nacre.Cmd) error { _, err := c.Output(); return err }
	combined := func(c *nacre.Cmd) error { _, err := c.CombinedOutput(); return err }
	for name, err := range map[string]error{
		"Start twice":                   started(nil).Start(),
		"Run after Start":               started(nil).Run(),
		"Start after the end":           ended.Start(),
		"Wait twice":                    ended.Wait(),
		"Wait before Start":             client.Command(t.Context(), "true").Wait(),
		"Output with Stdout":            output(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"Output with StdoutPipe":        output(fresh(func(c *nacre.Cmd) { stdoutPipe(c) })),
		"Output after Start":            output(started(nil)),
		"CombinedOutput with Stdout":    combined(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"CombinedOutput with Stderr":    combined(fresh(func(c *nacre.Cmd) { c.Stderr = &b })),
		"CombinedOutput with a pipe":    combined(fresh(func(c *nacre.Cmd) { stderrPipe(c) })),
		"StdinPipe with Stdin":          stdinPipe(fresh(func(c *nacre.Cmd) { c.Stdin = &b })),
		"StdoutPipe with Stdout":        stdoutPipe(fresh(func(c *nacre.Cmd) { c.Stdout = &b })),
		"StderrPipe with Stderr":        stderrPipe(fresh(func(c *nacre.Cmd) { c.Stderr = &b })),
		"StdinPipe twice":               stdinPipe(fresh(func(c *nacre.Cmd) { stdinPipe(c) })),
		"StdoutPipe twice":              stdoutPipe(fresh(func(c *nacre.Cmd) { stdoutPipe(c) })),
		"StderrPipe twice":              stderrPipe(fresh(func(c *nacre.Cmd) { stderrPipe(c) })),
		"StdinPipe after Start":         stdinPipe(started(nil)),
		"StdoutPipe after Start":        stdoutPipe(started(nil)),
		"StderrPipe after Start":        stderrPipe(started(nil)),
		"Stdin set beside its pipe":     fresh(func(c *nacre.Cmd) { stdinPipe(c); c.Stdin = &b }).Start(),
		"Stdout set beside its pipe":    fresh(func(c *nacre.Cmd) { stdoutPipe(c); c.Stdout = &b }).Start(),
		"Env without the equals sign":   fresh(func(c *nacre.Cmd) { c.Env = []string{"A"} }).Run(),
		"Env refused by no shell's set": fresh(func(c *nacre.Cmd) { c.Env = []string{"=A"} }).Run(),
	} {
		require.Error(t, err, name)
		require.True(t, strings.HasPrefix(err.Error(), "nacre: "), "%s: %v", name, err)
	}
	require.Nil(t, client.Command(t.Context(), "true").Session)
	require.NotNil(t, ended.Session)
}

func TestStartThatFails(t *testing.T) {
	refusing := dial(t, sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxSessions 0"}}), nil)
	var refused *connection.OpenError
	require.ErrorAs(t, refusing.Command(t.Context(), "true").Run(), &refused)

	closed := embedded(t, nil)
	require.NoError(t, closed.Close())
	cmd := closed.Command(t.Context(), "cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	uses := []func() error{
		func() error { _, err := stdin.Write([]byte("x")); return err },
		func() error { _, err := io.Copy(stdin, strings.NewReader("x")); return err },
		func() error { _, err := stdout.Read(make([]byte, 1)); return err },
		func() error { _, err := io.Copy(io.Discard, stdout); return err },
		func() error { _, err := stderr.Read(make([]byte, 1)); return err },
	}
	waiting := make(chan error, len(uses))
	for _, use := range uses {
		go func() { waiting <- use() }()
	}
	require.ErrorIs(t, cmd.Start(), net.ErrClosed)
	for _, use := range uses {
		require.ErrorIs(t, <-waiting, net.ErrClosed)
		require.ErrorIs(t, use(), net.ErrClosed)
	}
	for _, c := range []io.Closer{stdin, stdout, stderr} {
		require.ErrorIs(t, c.Close(), net.ErrClosed)
	}
	require.ErrorContains(t, cmd.Wait(), "Wait comes before a successful Start")
}

var errBroken = errors.New("broken")

func TestTerminalOfACommand(t *testing.T) {
	resized := make(chan struct{})
	client := embedded(t, map[string]sshtest.HandlerFunc{"screen": func(x *sshtest.Session) int {
		pty, ok := x.PTY()
		fmt.Fprintln(x.Stdout, ok, pty.Term, pty.Window, pty.Modes)
		close(resized)
		fmt.Fprintln(x.Stdout, <-x.Resizes)
		return 0
	}})
	cmd := client.Command(t.Context(), "screen")
	cmd.PTY = &channel.PTY{Term: "vt220", Size: channel.Size{Columns: 100}}
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	<-resized
	require.NoError(t, cmd.Session.Resize(t.Context(), channel.Size{Columns: 1, Rows: 2, Width: 3, Height: 4}))
	require.NoError(t, cmd.Wait())
	require.Equal(t, "true vt220 {100 24 0 0} [0]\n{1 2 3 4}\n", out.String())
}

func TestManyCommandsAtOnce(t *testing.T) {
	client := embedded(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() {
			cmd := client.Command(t.Context(), "printenv N")
			cmd.Env = []string{fmt.Sprintf("N=%d", i)}
			out, err := cmd.Output()
			if want := fmt.Sprintln(i); err == nil && string(out) != want {
				err = fmt.Errorf("%q instead of %q", out, want)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	require.Equal(t, make([]error, len(errs)), errs)
}
