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

// A Server is an SSH server for tests: one in the process, or a real daemon.
// Its exported fields are set when it is returned and must not be changed.
// All of its methods may be called concurrently.
type Server struct {
	Addr     string          // where it listens: "127.0.0.1:" and the port
	Target   string          // User@Addr
	User     string          // the only user who may log in
	Password string          // that user's; empty where passwords are not accepted
	Signer   ssh.Signer      // a client's key that is accepted
	HostKey  ssh.PublicKey   // the first of HostKeys; of a daemon, one of several that it may show
	HostKeys []ssh.PublicKey // every host key, certificates not among them

	tb       testing.TB     // which a script may fail; nil outside of a test
	hostCA   ssh.PublicKey  // nil where the host keys have no certificates
	listener net.Listener   // nil for a server in memory
	serve    func(net.Conn) // serves one connection to its end and closes it
	kill     func()         // ends what hanging up does not; nil where there is nothing such
	log      journal

	mu      sync.Mutex
	changed sync.Cond // running or closed changed; its lock is mu
	conns   map[net.Conn]bool
	running int // goroutines and ServeConn calls that Close waits for
	closed  bool
}

// NewServer starts a server within this process, on golang.org/x/crypto/ssh,
// and closes it when the test ends. A nil options means the defaults. If the
// server cannot start, the test fails at once.
func NewServer(tb testing.TB, options *Options) *Server {
	tb.Helper()
	s, err := startServer(tb, options)
	if err != nil {
		tb.Fatal(err)
	}
	s.closeAfter(tb)
	return s
}

// closeAfter closes the server when the test ends, and shows what it noted if
// the test failed.
func (s *Server) closeAfter(tb testing.TB) {
	tb.Cleanup(func() {
		s.Close()
		if log := s.Log(); tb.Failed() && log != "" {
			tb.Logf("log of the SSH server at %s:\n%s", s.Addr, log)
		}
	})
}

// StartServer is NewServer for programs that are not tests. The caller must
// call Close.
func StartServer(options *Options) (*Server, error) { return startServer(nil, options) }

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

// start listens, and fills in the fields that follow from that.
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

// ServeConn serves one connection that the caller made, such as an end of
// [Pipe], and returns when that connection has ended; so it mostly stands
// after a go. It owns c. A real daemon can only be given a *net.TCPConn.
func (s *Server) ServeConn(c net.Conn) {
	if !s.add(c) {
		c.Close()
		return
	}
	defer s.done(c)
	s.serve(c)
}

// add reports whether the server is still open to one more connection.
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

func (s *Server) done(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.running--
	s.changed.Broadcast()
}

// DialContext connects to the server, whatever network and addr say: by TCP,
// or to a server in memory through a new [Pipe]. It has the shape that
// clients take as their dial function.
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

// KnownHosts returns the content of a known_hosts file by which a client
// knows this server: a line for each host key, after a line for the authority
// of their certificates where there is one.
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

// Log returns what the server noted: the standard error of a real daemon; of
// a server in the process, each authentication attempt and why each
// connection ended. Only the last 64 KiB are kept.
func (s *Server) Log() string { return s.log.String() }

// CloseClientConnections ends every connection to the server, as a network
// failure would, and leaves the server open for new ones.
func (s *Server) CloseClientConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		hangUp(c)
	}
}

// Close ends the server and every connection to it, and waits until nothing
// of it still runs. A handler that outlives its session keeps it waiting.
// Calls after the first do nothing.
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
	return nil
}

// killDelay is what a daemon has to end by itself.
const killDelay = 5 * time.Second

// hangUp ends a connection for everybody who holds it: a daemon has its own
// copy of the socket, which only a shutdown reaches.
func hangUp(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseRead()
		t.CloseWrite()
	}
	c.Close()
}

// A journal keeps the end of what is written to it.
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
