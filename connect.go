package nacre

import (
	"context"
	"errors"
	"net"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// connecting is the making of a client, by one connection or, where the first
// one was too hasty, by a second one.
type connecting struct {
	to     target
	config Config
	memory Memory
	launch *launch // the command to start at once; nil: none
}

// connect makes a client, after it has checked what can be checked without
// dialling. Later errors are an *Error, in an *UncertainError if the command of
// the launch may have started.
func connect(ctx context.Context, to string, config *Config, l *launch) (*Client, error) {
	t, err := parseTarget(to)
	if err != nil {
		return nil, err
	}
	if config == nil || config.HostKey == nil {
		return nil, errors.New("nacre: Config.HostKey is not set: the server cannot be verified")
	}
	c := &connecting{to: t, config: *config, memory: config.memory(), launch: l}
	if c.config.Dial == nil {
		c.config.Dial = new(net.Dialer).DialContext
	}
	first := &stack{connecting: c, cautious: config.Cautious}
	if !first.cautious {
		first.known, _ = c.memory.Get(t.String())
	}
	client, err := first.make(ctx)
	if err == nil || !first.wasHasty(ctx, err) {
		return client, err
	}
	c.memory.Put(t.String(), nil)
	c.launch.reset()
	return (&stack{connecting: c, cautious: true}).make(ctx)
}

// stack is one connection and the layers on it.
type stack struct {
	*connecting
	known    *ServerState // what is remembered; nil: nothing
	cautious bool         // nothing leaves before its turn

	transport *transport.Conn
	key       string // that the server has accepted

	// The connection layer is there before authentication is over if the
	// command's packets leave behind it.
	early  userauth.Early
	gate   *gate
	client *Client
}

// make dials, and joins the layers. A program that needs another stack writes
// its own: these are three calls, each of which has a package to itself.
func (s *stack) make(ctx context.Context) (*Client, error) {
	nc, err := s.config.Dial(ctx, "tcp", s.to.addr)
	if err != nil {
		return nil, &Error{Op: "dial", Addr: s.to.addr, Err: withCause(ctx, err)}
	}
	s.transport = transport.Client(nc, s.transportConfig())
	if err := s.transport.Handshake(ctx); err != nil {
		return nil, &Error{Op: "handshake", Addr: s.to.addr, Err: err}
	}
	if err := userauth.Authenticate(ctx, s.transport, s.authConfig(ctx)); err != nil {
		return nil, s.refused(&Error{Op: "authenticate", Addr: s.to.addr, Err: err})
	}
	s.remember()
	return s.connect()
}

func (s *stack) transportConfig() *transport.Config {
	tc := s.config.Transport
	tc.HostKey, tc.Addr = s.config.HostKey, s.to.addr
	if size := s.config.Connection.MaxPacket; tc.MaxPacket == 0 && size > 0 {
		data := min(size, 128<<10)           // no channel packet has more
		tc.MaxPacket = max(35000, data+1024) // the channel's header, padding
	}
	if s.known != nil {
		tc.ServerKeyExchanges = s.known.KeyExchanges
	}
	return &tc
}

// authConfig says what leaves before its turn, as far as this server bears it.
func (s *stack) authConfig(ctx context.Context) *userauth.Config {
	ac := &userauth.Config{User: s.to.user, Methods: s.config.Auth, Banner: s.config.Banner, Trace: s.trace}
	if s.known != nil {
		ac.LastKey = s.known.Key
	}
	bears := s.tolerates()
	ac.Probes = bears.probes
	if s.launch != nil && bears.early && (bears.refusal || s.willBeGranted()) {
		s.early.Packets = func() [][]byte { return s.earlyPackets(ctx, bears) }
		ac.Early = &s.early
	}
	return ac
}

// tolerates tells what the server bears, as far as that is to be used.
func (s *stack) tolerates() tolerance {
	if s.cautious {
		return tolerance{}
	}
	return tolerates(s.transport.State().ServerVersion)
}

// willBeGranted tells whether the first proof is either the last one that we
// have, or one that was good before. Otherwise a refusal would cost the
// connection, where the server ends it because of what it reads behind.
func (s *stack) willBeGranted() bool {
	byKey := len(s.config.Auth) > 0 && s.config.Auth[0] != nil && s.config.Auth[0].Name() == "publickey"
	return byKey && (len(s.config.Auth) == 1 || s.known != nil && s.known.Key != "")
}

// trace learns by which key the user got in.
func (s *stack) trace(a userauth.Attempt) {
	accepted := a.Status == userauth.Success || a.Status == userauth.PartialSuccess
	if a.Err == nil && accepted && a.Key != nil {
		s.key = userauth.KeyName(a.Key)
	}
	if s.config.AuthTrace != nil {
		s.config.AuthTrace(a)
	}
}

// earlyPackets starts the connection layer behind a gate, and the command on
// it, and returns what both want to send.
func (s *stack) earlyPackets(ctx context.Context, bears tolerance) [][]byte {
	if s.client == nil {
		s.gate = newGate(s.transport)
		s.client = newClient(connection.New(s.gate, &s.config.Connection), s.transport, bears)
		// Should ctx end meanwhile, authentication ends by itself.
		_ = s.launch.send(ctx, s.client)
		_ = s.client.conn.Flush(ctx)
	}
	return s.gate.packets()
}

// remember puts down what may save a round trip next time.
func (s *stack) remember() {
	state := &ServerState{KeyExchanges: s.transport.State().ServerKeyExchanges, Key: s.key}
	if !s.known.equal(state) {
		s.memory.Put(s.to.String(), state)
	}
}

// connect returns the client, once the user is authenticated.
func (s *stack) connect() (*Client, error) {
	if s.client == nil {
		return newClient(connection.New(s.transport, &s.config.Connection), s.transport, s.tolerates()), nil
	}
	if err := s.gate.letThrough(s.early.Fate == userauth.Granted); err != nil {
		return nil, s.refused(&Error{Op: "authenticate", Addr: s.to.addr, Err: err})
	}
	return s.client, nil
}

// refused takes down what authentication leaves behind. A command that the
// server may have read together with a request that it has granted, may run.
func (s *stack) refused(err error) error {
	if s.client == nil {
		s.transport.Close()
		return err
	}
	s.client.Close()
	if s.early.Fate != userauth.Void && s.launch.sent {
		return &UncertainError{Err: err}
	}
	return err
}

// wasHasty tells whether the connection may have failed for what was sent on it
// before its turn, and whether another one may be made: nothing can have
// started, and nobody was refused for who he is.
func (s *stack) wasHasty(ctx context.Context, err error) bool {
	var failed *Error
	if ctx.Err() != nil || !errors.As(err, &failed) || failed.Timeout() {
		return false
	}
	var hostKey *transport.HostKeyError
	var login *userauth.Error
	switch {
	case errors.As(err, &hostKey) || s.early.Fate != userauth.Void:
		return false
	case failed.Op == "handshake":
		// A server that has not even begun did not fail for this.
		return s.known != nil && s.transport.State().ServerVersion != ""
	case errors.As(err, &login):
		return errors.Is(login.Err, net.ErrClosed) && (s.client != nil || login.Unanswered > 1)
	}
	return false
}
