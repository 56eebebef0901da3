package sshtest_test

import (
	"bufio"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
)

// handle starts a session on a server with a handler for the command "test".
func handle(t *testing.T, h sshtest.HandlerFunc) *ssh.Session {
	t.Helper()
	return newSession(t, sshtest.NewServer(t, &sshtest.Options{
		Handlers: map[string]sshtest.HandlerFunc{"test": h},
	}))
}

func TestHandlerSeesTheRequests(t *testing.T) {
	session := handle(t, func(x *sshtest.Session) int {
		pty, ok := x.PTY()
		fmt.Fprintln(x.Stdout, x.Command, x.Env, pty.Term, pty.Window.Columns, pty.Window.Rows, ok)
		w := <-x.Resizes
		pty, _ = x.PTY()
		fmt.Fprintln(x.Stdout, w, pty.Window == w)
		fmt.Fprintln(x.Stdout, <-x.Signals)
		return 7
	})
	require.NoError(t, session.Setenv("A", "1"))
	require.NoError(t, session.Setenv("B", "2"))
	require.NoError(t, session.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}))
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, session.Start("test with words"))
	lines := bufio.NewScanner(stdout)
	next := func() string {
		require.True(t, lines.Scan())
		return lines.Text()
	}
	require.Equal(t, "test with words [A=1 B=2] xterm 80 24 true", next())
	require.NoError(t, session.WindowChange(50, 132))
	require.Equal(t, "{132 50 1056 400} true", next())
	require.NoError(t, session.Signal(ssh.SIGUSR1))
	require.Equal(t, "USR1", next())
	var exit *ssh.ExitError
	require.ErrorAs(t, session.Wait(), &exit)
	require.Equal(t, 7, exit.ExitStatus())
}

func TestSessionWithoutPTY(t *testing.T) {
	session := handle(t, func(x *sshtest.Session) int {
		if _, ok := x.PTY(); ok {
			return 1
		}
		return 0
	})
	require.NoError(t, session.Run("test"))
}

func TestHandlerWithoutStatus(t *testing.T) {
	session := handle(t, func(*sshtest.Session) int { return -1 })
	var missing *ssh.ExitMissingError
	require.ErrorAs(t, session.Run("test"), &missing)
}

func TestHandlerLearnsOfTheEnd(t *testing.T) {
	ended := make(chan string, 1)
	session := handle(t, func(x *sshtest.Session) int {
		<-x.Done()
		_, err := x.Stdin.Read(make([]byte, 1))
		ended <- fmt.Sprint(err)
		return 0
	})
	require.NoError(t, session.Start("test"))
	require.NoError(t, session.Close())
	require.Equal(t, io.EOF.Error(), <-ended)
}

func TestSubsystemAndShellHandlers(t *testing.T) {
	echo := func(x *sshtest.Session) int {
		fmt.Fprintf(x.Stdout, "%q ", x.Command)
		io.Copy(x.Stdout, x.Stdin)
		return 0
	}
	s := sshtest.NewServer(t, &sshtest.Options{
		Subsystems: map[string]sshtest.HandlerFunc{"echo": echo},
		Shell:      echo,
	})
	for name, start := range map[string]func(*ssh.Session) error{
		"echo": func(session *ssh.Session) error { return session.RequestSubsystem("echo") },
		"":     (*ssh.Session).Shell,
	} {
		session := newSession(t, s)
		stdin, err := session.StdinPipe()
		require.NoError(t, err)
		stdout, err := session.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, start(session))
		_, err = stdin.Write([]byte("data"))
		require.NoError(t, err)
		require.NoError(t, stdin.Close())
		out, err := io.ReadAll(stdout)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%q data", name), string(out))
	}
	require.Error(t, newSession(t, s).RequestSubsystem("other"))
}

func TestOneCommandASession(t *testing.T) {
	session := newSession(t, sshtest.NewServer(t, nil))
	startCat(t, session)
	ok, err := session.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"cat"}))
	require.NoError(t, err)
	require.False(t, ok)
	require.Error(t, session.Setenv("LATE", "1"))
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	client := login(t, sshtest.NewServer(t, nil), nil)
	for _, name := range []string{"exec", "subsystem", "env", "pty-req", "window-change", "signal", "unknown"} {
		session, err := client.NewSession()
		require.NoError(t, err)
		ok, err := session.SendRequest(name, true, []byte{0xff})
		require.NoError(t, err)
		require.False(t, ok, name)
		require.NoError(t, session.Close())
	}
	for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com",
		"cancel-streamlocal-forward@openssh.com", "keepalive@openssh.com"} {
		ok, _, err := client.SendRequest(name, true, []byte{0xff})
		require.NoError(t, err)
		require.False(t, ok, name)
	}
	for _, typ := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "unknown"} {
		_, _, err := client.OpenChannel(typ, []byte{0xff})
		var open *ssh.OpenChannelError
		require.ErrorAs(t, err, &open, typ)
	}
}

func TestAgentForwarding(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{Handlers: map[string]sshtest.HandlerFunc{
		"list": func(x *sshtest.Session) int {
			if !x.AgentForwarding {
				return 1
			}
			channel, requests, err := x.Conn.OpenChannel("auth-agent@openssh.com", nil)
			if err != nil {
				return 2
			}
			defer channel.Close()
			go ssh.DiscardRequests(requests)
			keys, err := agent.NewClient(channel).List()
			fmt.Fprint(x.Stdout, len(keys), err)
			return 0
		},
	}})
	client := login(t, s, nil)
	require.NoError(t, agent.ForwardToAgent(client, agent.NewKeyring()))
	session, err := client.NewSession()
	require.NoError(t, err)
	require.NoError(t, agent.RequestAgentForwarding(session))
	out, err := session.Output("list")
	require.NoError(t, err)
	require.Equal(t, "0 <nil>", string(out))
}
