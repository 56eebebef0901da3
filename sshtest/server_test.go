package sshtest_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre/sshtest"
)

// servers are the kinds of server that have one surface.
var servers = map[string]func(tb testing.TB) *sshtest.Server{
	"InProcess": func(tb testing.TB) *sshtest.Server { return sshtest.NewServer(tb, nil) },
	"Exec":      func(tb testing.TB) *sshtest.Server { return sshtest.NewServer(tb, &sshtest.Options{Exec: true}) },
	"InMemory": func(tb testing.TB) *sshtest.Server {
		return sshtest.NewServer(tb, &sshtest.Options{InMemory: true})
	},
	"OpenSSH":  func(tb testing.TB) *sshtest.Server { return sshtest.OpenSSH(tb, nil) },
	"Dropbear": func(tb testing.TB) *sshtest.Server { return sshtest.Dropbear(tb, nil) },
}

// everyServer runs a test against each kind of server.
func everyServer(t *testing.T, test func(t *testing.T, s *sshtest.Server)) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// dial logs in with x/crypto's client, and checks the host key by s.KnownHosts.
func dial(t *testing.T, s *sshtest.Server, change func(*ssh.ClientConfig)) (*ssh.Client, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, os.WriteFile(file, s.KnownHosts(), 0o600))
	known, err := knownhosts.New(file)
	require.NoError(t, err)
	config := &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback: known,
	}
	if change != nil {
		change(config)
	}
	nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
	require.NoError(t, err)
	conn, channels, requests, err := ssh.NewClientConn(nc, s.Addr, config)
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(conn, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client, nil
}

func login(t *testing.T, s *sshtest.Server, change func(*ssh.ClientConfig)) *ssh.Client {
	t.Helper()
	client, err := dial(t, s, change)
	require.NoError(t, err)
	return client
}

func newSession(t *testing.T, s *sshtest.Server) *ssh.Session {
	t.Helper()
	session, err := login(t, s, nil).NewSession()
	require.NoError(t, err)
	return session
}

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
			return // It refuses signals for the sessions of root.
		}
		require.NoError(t, session.Signal(ssh.SIGTERM))
		var exit *ssh.ExitError
		require.ErrorAs(t, session.Wait(), &exit)
		require.Equal(t, "TERM", exit.Signal())
	})
}

// startCat returns when the command is known to run: OpenSSH loses signals
// that come between its answer to the request and the start of the command.
func startCat(t *testing.T, session *ssh.Session) {
	t.Helper()
	stdin, err := session.StdinPipe()
	require.NoError(t, err)
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, session.Start("cat"))
	_, err = stdin.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(stdout, make([]byte, 1))
	require.NoError(t, err)
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

func TestCloseEndsWhatStillRuns(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		startCat(t, session)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())

		var missing *ssh.ExitMissingError
		require.ErrorAs(t, session.Wait(), &missing)
	})
}

func TestConnectionsCanBeCut(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		require.NoError(t, session.Start("sleep infinity"))
		s.CloseClientConnections()
		var missing *ssh.ExitMissingError
		require.ErrorAs(t, session.Wait(), &missing)
		require.NoError(t, newSession(t, s).Run("true"), "the server still serves")
	})
}

func TestClosedServerRefuses(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: inMemory})
		s.Close()
		_, err := s.DialContext(t.Context(), "tcp", s.Addr)
		require.Error(t, err)

		client, server := sshtest.Pipe()
		s.ServeConn(server)
		_, err = client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	}
}

func TestServerWithoutHostKeyOfItsOwn(t *testing.T) {
	var keys []ssh.Signer
	for _, keyType := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		keys = append(keys, sshtest.NewSigner(t, keyType))
	}
	s := sshtest.NewServer(t, &sshtest.Options{HostKeys: keys})
	require.Len(t, s.HostKeys, 2)
	for i, algorithm := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA256} {
		var shown ssh.PublicKey
		login(t, s, func(c *ssh.ClientConfig) {
			c.HostKeyAlgorithms = []string{algorithm}
			c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
				shown = key
				return nil
			}
		})
		require.Equal(t, s.HostKeys[i].Marshal(), shown.Marshal())
	}
	require.Equal(t, s.HostKeys[0], s.HostKey)
}

func TestHostCertificates(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, s := range map[string]*sshtest.Server{
		"InProcess": sshtest.NewServer(t, &sshtest.Options{HostCA: ca}),
		"OpenSSH":   sshtest.OpenSSH(t, &sshtest.DaemonOptions{HostCA: ca}),
	} {
		t.Run(name, func(t *testing.T) {
			login(t, s, func(c *ssh.ClientConfig) {
				c.HostKeyAlgorithms = []string{ssh.CertAlgoED25519v01}
				check := &ssh.CertChecker{IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
					return bytes.Equal(key.Marshal(), ca.PublicKey().Marshal())
				}}
				c.HostKeyCallback = check.CheckHostKey
			})
			login(t, s, nil)
		})
	}
}

func TestAlgorithmsAreAsAsked(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{
		Version: "SSH-2.0-other",
		Config:  ssh.Config{Ciphers: []string{ssh.CipherAES128CTR}, RekeyThreshold: 1000},
	})
	client := login(t, s, nil)
	require.Equal(t, "SSH-2.0-other", string(client.ServerVersion()))
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("head -c 100000 /dev/zero")
	require.NoError(t, err)
	require.Len(t, out, 100_000)
	_, err = dial(t, s, func(c *ssh.ClientConfig) { c.Ciphers = []string{ssh.CipherAES256GCM} })
	require.ErrorContains(t, err, "no common algorithm")
}

// A day of a quiet connection is over at once, and its end is not lost.
func TestServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		client := login(t, s, nil)
		session, err := client.NewSession()
		require.NoError(t, err)
		start := time.Now()
		out, err := session.Output("sleep 86400")
		require.NoError(t, err)
		require.Empty(t, out)
		require.Equal(t, 24*time.Hour, time.Since(start))
		client.Close()
	})
}
