package nacre

import (
	"context"
	"errors"
	"net"

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
// dialling. Later errors are an *Error, or an *UncertainError if the command of
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
	if known, ok := c.memory.Get(t.String()); ok && !config.Cautious {
		first.known, first.cautious = known, known.Cautious
	}
	client, err := first.make(ctx)
	if err == nil || !first.wasHasty(ctx, err) {
		return client, err
	}
	c.launch.reset()
	second := &stack{connecting: c, cautious: true, learned: first.bearsTooLittle(err), asks: first.guessed(err)}
	return second.make(ctx)
}

// learnCaution puts down that a server drops what comes before its turn. The
// target is one that was connected to.
func learnCaution(to string, config *Config) {
	t, err := parseTarget(to)
	if err != nil {
		return
	}
	var state ServerState
	memory := config.memory()
	if known, ok := memory.Get(t.String()); ok {
		state = *known
	}
	state.Cautious = true
	memory.Put(t.String(), &state)
}

// stack is one connection and the layers on it.
type stack struct {
	*connecting
	known    *ServerState // what is remembered; nil: nothing
	cautious bool         // nothing leaves before its turn
	learned  bool         // and so it shall be next time
	asks     bool         // the server is asked for its methods before anything is offered

	transport *transport.Conn
	key       string // that the server has accepted
	factors   int    // proofs that it has accepted

	// The connection layer is there before authentication is over if the
	// command's packets leave behind it.
	early  userauth.Early
	gate   *gate
	client *Client
}

// make dials, and joins the layers. A program that needs another stack writes
// its own: these are three calls, each of which has a package to itself.
func (s *stack) make(ctx context.Context) (client *Client, err error) {
	nc, err := s.config.Dial(ctx, "tcp", s.to.addr)
	if err != nil {
		return nil, &Error{Op: "dial", Addr: s.to.addr, Err: withCause(ctx, err)}
	}
	s.transport = transport.Client(nc, s.transportConfig())
	defer func() {
		if client == nil { // also when a function of the caller's panics
			s.close()
		}
	}()
	if err := s.transport.Handshake(ctx); err != nil {
		return nil, &Error{Op: "handshake", Addr: s.to.addr, Err: err}
	}
	if err := userauth.Authenticate(ctx, s.transport, s.authConfig(ctx)); err != nil {
		return nil, s.uncertain(&Error{Op: "authenticate", Addr: s.to.addr, Err: err})
	}
	if err := s.learnHostKey(ctx); err != nil {
		return nil, s.uncertain(err)
	}
	s.remember()
	return s.connect(ctx)
}

// close ends what there is of the connection.
func (s *stack) close() {
	if s.client != nil {
		s.client.Close()
	}
	s.transport.Close()
}

func (s *stack) transportConfig() *transport.Config {
	tc := s.config.Transport
	tc.HostKey, tc.Addr = s.config.HostKey, s.to.addr
	if size := s.config.Connection.MaxPacket; tc.MaxPacket == 0 && size > 0 {
		data := min(size, 128<<10)           // no channel packet has more
		tc.MaxPacket = max(35000, data+1024) // the channel's header, padding
	}
	if s.known != nil && !s.cautious {
		tc.ServerKeyExchanges = s.known.KeyExchanges
	}
	return &tc
}

// authConfig says what leaves before its turn, as far as this server bears it.
func (s *stack) authConfig(ctx context.Context) *userauth.Config {
	bears := s.tolerates()
	ac := &userauth.Config{
		User: s.to.user, Methods: s.config.Auth, Banner: s.config.Banner, Trace: s.trace,
		Probes: bears.probes, AwaitService: bears.slow, RequireFactors: s.config.RequireFactors,
	}
	if s.asks {
		ac.Methods = append([]userauth.Method{userauth.None()}, ac.Methods...)
	}
	if s.known != nil {
		ac.LastKey = s.known.Key
	}
	if s.launch != nil && bears.early && (bears.refusal || s.willBeGranted()) {
		s.early.Packets = func() [][]byte { return s.earlyPackets(ctx, bears) }
		ac.Early = &s.early
	}
	return ac
}

// tolerates tells what the server bears, as far as that is to be used.
func (s *stack) tolerates() tolerance {
	if s.cautious {
		return cautiously
	}
	return tolerates(s.transport.State().ServerVersion)
}

// willBeGranted tells whether the first proof is either the last one that we
// have, or one that was enough before. Otherwise a refusal would cost the
// connection, where the server ends it because of what it reads behind.
func (s *stack) willBeGranted() bool {
	byKey := len(s.config.Auth) > 0 && s.config.Auth[0] != nil && s.config.Auth[0].Name() == "publickey"
	return byKey && (len(s.config.Auth) == 1 || s.known != nil && s.known.KeyOnly)
}

// trace learns by what the user got in.
func (s *stack) trace(a userauth.Attempt) {
	if a.Err == nil && (a.Status == userauth.Success || a.Status == userauth.PartialSuccess) {
		s.factors++
		if a.Key != nil {
			s.key = userauth.KeyName(a.Key)
		}
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
		s.client = newClient(s.newConn(s.gate), s.transport, bears)
		// Should ctx end meanwhile, authentication ends by itself.
		_ = s.launch.send(ctx, s.client)
		_ = s.client.conn.Flush(ctx)
	}
	return s.gate.packets()
}

// remember puts down what may save a round trip next time.
func (s *stack) remember() {
	state := &ServerState{
		KeyExchanges: s.transport.State().ServerKeyExchanges,
		Key:          s.key,
		KeyOnly:      s.key != "" && s.factors == 1,
		Cautious:     s.learned || s.known != nil && s.known.Cautious,
	}
	if !s.known.equal(state) {
		s.memory.Put(s.to.String(), state)
	}
}

// connect returns the client, once the user is authenticated.
func (s *stack) connect(ctx context.Context) (*Client, error) {
	if s.client == nil {
		return newClient(s.startConn(), s.transport, s.tolerates()), nil
	}
	sent := s.early.Fate == userauth.Granted
	if !sent {
		s.early.Fate = userauth.Doubtful
	}
	if err := s.gate.letThrough(ctx, sent); err != nil {
		return nil, s.uncertain(err)
	}
	return s.client, nil
}

// uncertain marks the error of a connection on which the server may have obeyed
// the command, because it may have granted what stood in front of it. One that
// says goodbye instead has not.
func (s *stack) uncertain(err error) error {
	doubt := s.early.Fate == userauth.Doubtful || s.early.Fate == userauth.Granted
	if doubt && s.launch.sent && !errors.As(err, new(*transport.DisconnectError)) {
		return &UncertainError{Err: err}
	}
	return err
}

// wasHasty tells whether another connection, on which everything is sent in
// its turn, may get further, and may be made: nothing has started, and nobody
// was refused for who he is.
func (s *stack) wasHasty(ctx context.Context, err error) bool {
	var failed *Error
	if ctx.Err() != nil || s.cautious || !errors.As(err, &failed) || failed.Timeout() {
		return false
	}
	var login *userauth.Error
	switch {
	case errors.As(err, new(*UncertainError)) || errors.As(err, new(*transport.HostKeyError)) ||
		errors.As(err, new(*transport.BudgetError)):
		return false
	case failed.Op == "handshake":
		// A server that has not even begun did not fail for this.
		return s.known != nil && len(s.known.KeyExchanges) > 0 && s.transport.State().ServerVersion != ""
	case errors.As(err, &login):
		return login.Interrupted || s.guessed(err) || s.bearsTooLittle(err)
	}
	return false
}

// guessed tells whether the server has ended the connection for too many
// refusals, the first of them of a key that was shown before the server had said
// whether it takes keys at that point. To ask that first is free with OpenSSH.
// What a person has to say again is not worth it.
func (s *stack) guessed(err error) bool {
	var login *userauth.Error
	if !errors.As(err, &login) || !login.CutOff || len(s.config.Auth) < 2 || len(login.Tried) == 0 {
		return false
	}
	first := login.Tried[0]
	return first.Key != nil && first.Err != nil && !errors.Is(first.Err, userauth.ErrSkip)
}

// bearsTooLittle tells whether the server has probably ended the connection for
// what was sent before its turn, and would again.
func (s *stack) bearsTooLittle(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	if failed.Op == "handshake" {
		return !errors.Is(err, transport.ErrAnticipation)
	}
	return s.early.Fate == userauth.Fatal && !s.tolerates().refusal && !errors.As(err, new(*transport.DisconnectError))
}
