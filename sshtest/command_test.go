package sshtest_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestCommands(t *testing.T) {
	tests := map[string]struct {
		command, stdin string
		stdout, stderr string
		status         int
	}{
		"echo":         {command: "echo hello  world", stdout: "hello world\n"},
		"to stderr":    {command: "echo oops >&2", stderr: "oops\n"},
		"exit":         {command: "exit 3", status: 3},
		"true":         {command: "true"},
		"false":        {command: "false", status: 1},
		"cat":          {command: "cat", stdin: "in\nout", stdout: "in\nout"},
		"cat stderr":   {command: "cat >&2", stdin: "in", stderr: "in"},
		"wc":           {command: "wc -c", stdin: "12345", stdout: "5\n"},
		"head":         {command: "head -c 100000 /dev/zero", stdout: strings.Repeat("\x00", 100_000)},
		"sleep":        {command: "sleep 0.01"},
		"unset":        {command: "printenv NOBODY_SETS_THIS", status: 1},
		"no such name": {command: "exit-0-but-not-found 2>&-", status: 127},
	}
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		client := login(t, s, nil)
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				session, err := client.NewSession()
				require.NoError(t, err)
				var stdout, stderr bytes.Buffer
				session.Stdout, session.Stderr = &stdout, &stderr
				session.Stdin = strings.NewReader(test.stdin)
				err = session.Run(test.command)
				if test.status == 0 {
					require.NoError(t, err)
				} else {
					var exit *ssh.ExitError
					require.ErrorAs(t, err, &exit)
					require.Equal(t, test.status, exit.ExitStatus())
				}
				require.Equal(t, test.stdout, stdout.String())
				if test.status != 127 {
					require.Equal(t, test.stderr, stderr.String())
				}
			})
		}
	})
}

func TestCommandThatDiesOfASignal(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		err := newSession(t, s).Run("kill -TERM $$")
		var exit *ssh.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, "TERM", exit.Signal())
	})
}

func TestSignalEndsACommand(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		startCat(t, session)
		if strings.HasSuffix(t.Name(), "OpenSSH") && os.Geteuid() == 0 {
			return // sshd refuses signals for root's sessions
		}
		require.NoError(t, session.Signal(ssh.SIGTERM))
		var exit *ssh.ExitError
		require.ErrorAs(t, session.Wait(), &exit)
		require.Equal(t, "TERM", exit.Signal())
	})
}

func TestShellRunsItsInput(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		var stdout bytes.Buffer
		session.Stdout = &stdout
		session.Stdin = strings.NewReader("echo one\n\nfalse\necho two\nexit 4\necho three\n")
		require.NoError(t, session.Shell())
		var exit *ssh.ExitError
		require.ErrorAs(t, session.Wait(), &exit)
		require.Equal(t, 4, exit.ExitStatus())
		require.Equal(t, "one\ntwo\n", stdout.String())
	})
}

func TestHandlerOverrulesACommand(t *testing.T) {
	say := func(text string) sshtest.HandlerFunc {
		return func(x *sshtest.Session) int {
			fmt.Fprint(x.Stdout, text)
			return 0
		}
	}
	s := sshtest.NewServer(t, &sshtest.Options{
		Handlers: map[string]sshtest.HandlerFunc{"echo": say("word"), "echo all": say("line")},
		Exec:     true,
	})
	for command, want := range map[string]string{"echo": "word", "echo x": "word", "echo all": "line"} {
		out, err := newSession(t, s).Output(command)
		require.NoError(t, err)
		require.Equal(t, want, string(out))
	}
}

func TestTerminalCommands(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	for command, want := range map[string]string{"stty size": "24 80\n", "printenv TERM": "vt100\n"} {
		session := newSession(t, s)
		require.NoError(t, session.RequestPty("vt100", 24, 80, nil))
		out, err := session.Output(command)
		require.NoError(t, err)
		require.Equal(t, want, string(out))
	}
	require.Error(t, newSession(t, s).Run("stty size"))
}

func TestEnvironmentReachesTheCommand(t *testing.T) {
	// Dropbear accepts no variables, and sshd only the configured ones.
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, nil),
		"OpenSSH":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"AcceptEnv GREETING"}}),
	} {
		t.Run(name, func(t *testing.T) {
			session := newSession(t, s)
			require.NoError(t, session.Setenv("GREETING", "hello"))
			out, err := session.Output("printenv GREETING")
			require.NoError(t, err)
			require.Equal(t, "hello\n", string(out))
		})
	}
}
