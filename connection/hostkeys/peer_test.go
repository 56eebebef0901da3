package hostkeys_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/hostkeys"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

const (
	announceName = "hostkeys-00@openssh.com"
	proveName    = "hostkeys-prove-00@openssh.com"
)

// connect stacks the layers by hand over nc, and ends the connection with the
// test.
func connect(t *testing.T, nc net.Conn, user, addr string, v transport.HostKeyVerifier, methods ...userauth.Method) *connection.Conn {
	t.Helper()
	conn, err := stack(t.Context(), nc, user, addr, v, methods...)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// stack makes the three layers' calls, and those of package hostkeys.
func stack(
	ctx context.Context, nc net.Conn, user, addr string, v transport.HostKeyVerifier, methods ...userauth.Method,
) (*connection.Conn, error) {
	t := transport.Client(nc, &transport.Config{HostKey: v, Addr: addr})
	if err := t.Handshake(ctx); err != nil {
		t.Close()
		return nil, err
	}
	if err := userauth.Authenticate(ctx, t, &userauth.Config{User: user, Methods: methods}); err != nil {
		t.Close()
		return nil, err
	}
	if err := hostkeys.Learn(ctx, t, addr, v); err != nil {
		t.Close()
		return nil, err
	}
	config := new(connection.Config)
	if h, ok := hostkeys.Handler(t, addr, v); ok {
		config.HandleRequest = map[string]connection.RequestFunc{hostkeys.Request: h}
	}
	return connection.New(t, config), nil
}

// dial is connect for a server of sshtest.
func dial(t *testing.T, s *sshtest.Server, v transport.HostKeyVerifier) *connection.Conn {
	t.Helper()
	conn, err := login(t.Context(), s, v)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// login is stack for a server of sshtest.
func login(ctx context.Context, s *sshtest.Server, v transport.HostKeyVerifier) (*connection.Conn, error) {
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	return stack(ctx, nc, s.User, s.Addr, v, userauth.PublicKeys(s.Signer))
}

// visit logs in and out again.
func visit(ctx context.Context, s *sshtest.Server, v transport.HostKeyVerifier) error {
	conn, err := login(ctx, s, v)
	if err != nil {
		return err
	}
	return conn.Close()
}

// watchedPolicy is a Policy that reports the end of each update.
type watchedPolicy struct {
	*knownhosts.Policy
	updated chan error
}

func watchPolicy(p *knownhosts.Policy) *watchedPolicy { return &watchedPolicy{p, make(chan error, 10)} }

func (w *watchedPolicy) RotateHostKeys(
	ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey, announced []ssh.PublicKey,
	prove func(ctx context.Context, keys []ssh.PublicKey) error,
) error {
	err := w.Policy.RotateHostKeys(ctx, addr, remote, key, announced, prove)
	w.updated <- err
	return err
}

func loaded(t *testing.T, file string) *knownhosts.DB {
	t.Helper()
	d, err := knownhosts.Load(file)
	require.NoError(t, err)
	return d
}

// sorted returns the content of a file, line by line, without order.
func sorted(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return slices.Sorted(strings.Lines(string(content)))
}

// announcer is a server that announces keys, and answers in its own way the
// request to prove them.
type announcer struct {
	hostKey   ssh.Signer
	announced [][]byte
	times     int // of the announcement; 0 means 1
	prove     func(session []byte, keys [][]byte) (signatures [][]byte, ok bool)
}

// start returns the client's end of a connection to the server, and the server's.
func (a *announcer) start() (client, server net.Conn) {
	client, server = sshtest.Pipe()
	go a.serve(server)
	return client, server
}

func (a *announcer) serve(c net.Conn) {
	defer c.Close()
	sc := &ssh.ServerConfig{NoClientAuth: true}
	sc.AddHostKey(a.hostKey)
	conn, channels, requests, err := ssh.NewServerConn(c, sc)
	if err != nil {
		return
	}
	go func() {
		for ch := range channels {
			_ = ch.Reject(ssh.Prohibited, "")
		}
	}()
	for range max(1, a.times) {
		_, _, _ = conn.SendRequest(announceName, false, list(a.announced))
	}
	for r := range requests {
		if r.Type != proveName {
			_ = r.Reply(false, nil)
			continue
		}
		signatures, ok := a.prove(conn.SessionID(), items(r.Payload))
		_ = r.Reply(ok, list(signatures))
	}
}

// list joins items to one payload, and items takes a payload apart.
func list(items [][]byte) []byte {
	var b []byte
	for _, item := range items {
		b = append(b, ssh.Marshal(struct{ Item []byte }{item})...)
	}
	return b
}

func items(payload []byte) (all [][]byte) {
	for len(payload) > 0 {
		var m struct {
			Item []byte
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(payload, &m) != nil {
			return nil
		}
		all, payload = append(all, m.Item), m.Rest
	}
	return all
}

// sign returns the proof that a signer holds its key.
func sign(signer ssh.Signer, algorithm, name string, session []byte) []byte {
	data := ssh.Marshal(struct {
		Name         string
		Session, Key []byte
	}{name, session, signer.PublicKey().Marshal()})
	s, err := signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
	if err != nil {
		panic(err)
	}
	return ssh.Marshal(s)
}
