package testshell_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/testshell"
)

// newCommand returns a command of a client with a terminal, and the outputs.
func newCommand(stdin string) (c *testshell.Command, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &testshell.Command{
		Env:   []string{"A=1", "B=2"},
		Stdin: strings.NewReader(stdin), Stdout: stdout, Stderr: stderr,
		Signals:  make(chan ssh.Signal),
		Done:     make(chan struct{}),
		Terminal: func() *testshell.Terminal { return &testshell.Terminal{Term: "vt100", Rows: 24, Columns: 80} },
		Tasks:    new(sync.WaitGroup),
	}, stdout, stderr
}

func TestBuiltin(t *testing.T) {
	for line, want := range map[string]struct {
		stdout, stderr string
		exit           testshell.Exit
	}{
		"":                       {},
		"true":                   {},
		"false":                  {exit: testshell.Exit{Status: 1}},
		"exit 3":                 {exit: testshell.Exit{Status: 3}},
		"echo a b":               {stdout: "a b\n"},
		"echo a >&2":             {stderr: "a\n"},
		"cat":                    {stdout: "input"},
		"wc -c":                  {stdout: "5\n"},
		"env":                    {stdout: "A=1\nB=2\n"},
		"printenv B":             {stdout: "2\n"},
		"printenv C":             {exit: testshell.Exit{Status: 1}},
		"printenv TERM":          {stdout: "vt100\n"},
		"stty size":              {stdout: "24 80\n"},
		"head -c 3 /dev/zero":    {stdout: "\x00\x00\x00"},
		"head -c x /dev/zero":    {exit: testshell.Exit{Status: 1}, stderr: "head: strconv.ParseInt: parsing \"x\": invalid syntax\n"},
		"head -c 3 /dev/urandom": {exit: testshell.Exit{Status: 2}, stderr: "head: only -c N /dev/zero is known\n"},
		"sleep 0":                {},
		"sleep x":                {exit: testshell.Exit{Status: 1}, stderr: "sleep: time: invalid duration \"xs\"\n"},
		"kill -TERM $$":          {exit: testshell.Exit{Signal: "TERM"}},
		"ls":                     {exit: testshell.Exit{Status: 127}, stderr: "sh: ls: not found\n"},
	} {
		t.Run(line, func(t *testing.T) {
			c, stdout, stderr := newCommand("input")
			require.Equal(t, want.exit, c.Builtin(strings.Fields(line)))
			c.Tasks.Wait()
			require.Equal(t, want.stdout, stdout.String())
			require.Equal(t, want.stderr, stderr.String())
		})
	}
}

func TestBuiltinEndsWithASignalAndWithTheSession(t *testing.T) {
	signals, done := make(chan ssh.Signal, 1), make(chan struct{})
	c, _, _ := newCommand("")
	c.Signals, c.Done = signals, done
	signals <- ssh.SIGHUP
	require.Equal(t, testshell.Exit{Signal: ssh.SIGHUP}, c.Builtin([]string{"sleep", "infinity"}))
	close(done)
	require.Equal(t, testshell.Exit{Status: -1}, c.Builtin([]string{"sleep", "infinity"}))
	c.Tasks.Wait()
}
