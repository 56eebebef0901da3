package sshtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A Server is an SSH server for tests: in the process, or a real daemon. The
// exported fields are set at the start and must not be changed. All methods
// may be called concurrently.
type Server struct {
	Addr     string          // of the listener: "127.0.0.1:" and the port
	Target   string          // User@Addr
	User     string          // the only user who may log in
	Password string          // the user's; empty if the server accepts no passwords
	Signer   ssh.Signer      // a key of the user
	HostKey  ssh.PublicKey   // the first of HostKeys; daemons have several
	HostKeys []ssh.PublicKey // all of them, without certificates

	tb       testing.TB     // may be failed by a script; nil outside of tests
	hostCA   ssh.PublicKey  // nil without host certificates
	listener net.Listener   // nil for a server in memory
	serve    func(net.Conn) // serves and closes a connection
	kill     func()         // kills processes that survive the end of their connection; may be nil
	finish   func()         // waits for the rest of the log; may be nil
	log      journal

	mu      sync.Mutex
	changed sync.Cond // after running or closed; the lock is mu
	conns   map[net.Conn]bool
	running int // goroutines and calls of ServeConn; Close waits for them
	closed  bool
}

// NewServer starts a server within this process, on golang.org/x/crypto/ssh,
// and closes the server when the test ends. A nil options means the defaults.
// The test fails at once if the server cannot start.
func NewServer(tb testing.TB, options *Options) *Server {
	tb.Helper()
	s, err := startServer(tb, options)
	if err != nil {
		tb.Fatal(err)
	}
	s.closeAfter(tb)
	return s
}

// closeAfter closes the server when the test ends, and shows the server's log
// if the test failed.
func (s *Server) closeAfter(tb testing.TB) {
	tb.Cleanup(func() {
		s.Close()
		if log := s.Log(); tb.Failed() && log != "" {
			tb.Logf("log of the SSH server at %s:\n%s", s.Addr, log)
		}
	})
}

// StartServer is NewServer for programs other than tests. The caller must call
// Close.
func StartServer(options *Options) (*Server, error) { return startServer(nil, options) }

// startServer starts a server with the options copied and completed. tb is nil
// outside of a test.
func startServer(tb testing.TB, options *Options) (*Server, error) {
	var o Options
	if options != nil {
		o = *options
	}
	s := &Server{tb: tb, User: o.User, Password: o.Password, conns: make(map[net.Conn]bool)}
	if s.User == "" {
		s.User = "gopher"
	}
	if s.Password == "" {
		s.Password = rand.Text()
	}
	signer, err := newSigner(ssh.KeyAlgoED25519)
	if err != nil {
		return nil, err
	}
	s.Signer = signer
	if len(o.HostKeys) == 0 {
		hostKey, err := newSigner(ssh.KeyAlgoED25519)
		if err != nil {
			return nil, err
		}
		o.HostKeys = []ssh.Signer{hostKey}
	}
	if o.Version == "" {
		o.Version = "SSH-2.0-sshtest"
	}
	config, err := s.serverConfig(&o)
	if err != nil {
		return nil, err
	}
	s.serve = func(c net.Conn) { serveConn(s, &o, config, c) }
	if o.Script != nil {
		s.serve = func(c net.Conn) { s.play(&o, c) }
	}
	for _, k := range o.HostKeys {
		s.HostKeys = append(s.HostKeys, k.PublicKey())
	}
	if o.HostCA != nil {
		s.hostCA = o.HostCA.PublicKey()
	}
	if err := s.start(o.InMemory); err != nil {
		return nil, err
	}
	return s, nil
}

// start listens, and fills in the fields that depend on the listener.
func (s *Server) start(inMemory bool) error {
	s.changed.L = &s.mu
	s.HostKey = s.HostKeys[0]
	s.Addr = "127.0.0.1:22"
	if !inMemory {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("sshtest: %w", err)
		}
		s.listener = l
		s.Addr = l.Addr().String()
		s.running++
		go s.accept()
	}
	s.Target = s.User + "@" + s.Addr
	return nil
}

// accept serves each connection on a goroutine of its own, until Close closes
// the listener.
func (s *Server) accept() {
	defer s.done(nil)
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.ServeConn(c)
	}
}

// ServeConn serves a connection of the caller's, such as an end of [Pipe], and
// returns at the end of the connection; most callers start a goroutine.
// ServeConn owns c. A real daemon can only serve a *net.TCPConn.
func (s *Server) ServeConn(c net.Conn) {
	if !s.add(c) {
		c.Close()
		return
	}
	defer s.done(c)
	s.serve(c)
}

// add reports whether the server is open for another connection.
func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = true
	s.running++
	return true
}

// done ends what add has begun, or a goroutine of the server itself when c is
// nil.
func (s *Server) done(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.running--
	s.changed.Broadcast()
}

// DialContext connects to the server, whatever network and addr are: by TCP,
// or through a new [Pipe] to a server in memory. Clients take a dial function
// of this shape.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.listener != nil {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	}
	client, server := Pipe()
	if !s.add(server) {
		return nil, fmt.Errorf("sshtest: server closed: %w", net.ErrClosed)
	}
	go func() {
		defer s.done(server)
		s.serve(server)
	}()
	return client, nil
}

// KnownHosts returns the content of a known_hosts file for this server: a line
// for the authority of host certificates, if there is an authority, and a line
// for each host key.
func (s *Server) KnownHosts() []byte {
	var file []byte
	if s.hostCA != nil {
		file = fmt.Appendf(file, "@cert-authority %s\n", knownhosts.Line([]string{s.Addr}, s.hostCA))
	}
	for _, k := range s.HostKeys {
		file = fmt.Appendf(file, "%s\n", knownhosts.Line([]string{s.Addr}, k))
	}
	return file
}

// Log returns the server's log: the standard error of a real daemon, or each
// authentication attempt and the end of each connection of a server in the
// process. Only the last 64 KiB are kept.
func (s *Server) Log() string { return s.log.String() }

// CloseClientConnections ends every connection to the server, as a network
// failure would. The server stays open for new connections.
func (s *Server) CloseClientConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		hangUp(c)
	}
}

// Close ends the server and every connection, and waits for the end of all
// that the server started. A handler that ignores the end of its session makes
// Close wait. Later calls do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.listener != nil {
		s.listener.Close()
	}
	s.closed = true
	for c := range s.conns {
		hangUp(c)
	}
	if s.kill != nil {
		defer time.AfterFunc(killDelay, s.kill).Stop()
	}
	for s.running > 0 {
		s.changed.Wait()
	}
	if s.kill != nil {
		s.kill()
	}
	if s.finish != nil {
		s.finish()
	}
	return nil
}

// killDelay is the time of a daemon to end without being killed.
const killDelay = 5 * time.Second

// hangUp ends a connection for everybody who holds the connection: a daemon
// has a copy of the socket, and only a shutdown ends both copies.
func hangUp(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseRead()
		t.CloseWrite()
	}
	c.Close()
}

// A journal keeps the last lines written to a log.
type journal struct {
	mu   sync.Mutex
	text []byte
}

const journalSize = 64 << 10

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	if len(j.text) > 2*journalSize {
		j.text = append([]byte(nil), j.text[len(j.text)-journalSize:]...)
	}
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text[max(0, len(j.text)-journalSize):])
}
