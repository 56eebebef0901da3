package sshtest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre/sshtest"
)

// servers are the kinds of server, with the same methods.
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

// startCat starts cat, and returns when cat has echoed a byte: OpenSSH loses
// signals between its answer to the request and the start of the command.
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

// A recorder is a test of which another test looks at the failure.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
	log      string
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Failed() bool { return r.failed }

func (r *recorder) Logf(format string, args ...any) { r.log += fmt.Sprintf(format, args...) }

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
	runtime.Goexit()
}

// record runs f as a test of its own.
func record(t *testing.T, f func(tb testing.TB)) *recorder {
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(r)
	}()
	<-ended
	for _, f := range r.cleanups {
		f()
	}
	return r
}

// closeWrite ends one direction.
func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
}
