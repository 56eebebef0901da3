package nacre

import (
	"context"
	"errors"
	"maps"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/hostkeys"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/early"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// Dial connects to a target, "[user@]host[:port]" or an ssh:// URI. The port is
// 22 by default; there must be a user. An impossible target or config
// is an error before anything is dialled. Every later error is an [*Error],
// which names the failed phase.
//
// ctx bounds all of Dial: when ctx ends, the connection is closed and the
// context's error is returned. Once Dial has returned, ctx has no effect on the
// client. Without a deadline in ctx, the server is bounded from its first byte to
// the success of authentication by LoginTimeout, LoginBytes and LoginPackets of
// Config.Transport, by default 2 minutes, 4 MiB and 4096 packets; beyond them the
// cause of the Error is a [*transport.BudgetError]. The time in which a person
// looks for a password does not count, nor does the time of Config.Dial and of
// signers, which only ctx ends. A second connection has another budget.
func Dial(ctx context.Context, target string, config *Config) (*Client, error) {
	return dial(ctx, target, config, nil)
}

// dial makes a client by one connection or, if early messages were to blame for
// its end, by a second connection. The command, unless nil, is started on the way
// if the server bears early commands.
func dial(ctx context.Context, to string, config *Config, command *starting) (*Client, error) {
	t, err := parseTarget(to)
	if err != nil {
		return nil, err
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	first := &attempt{to: t, config: config.withDefaults(), command: command, inTurn: config.DisableEarly}
	if known, ok := first.config.Memory.Get(t.String()); ok && known != nil {
		first.record = known
		if !config.DisableEarly {
			first.known, first.inTurn = known, known.DisableEarly || !known.trusted(known.Losses)
		}
	}
	client, err := first.connect(ctx)
	if err == nil {
		return client, nil
	}
	verdict := early.Judge(first.facts(ctx, err))
	if verdict == early.Uncertain {
		return nil, &UncertainError{Err: err}
	}
	if !verdict.Retries() {
		return nil, err
	}
	command.reset()
	second := &attempt{to: t, config: first.config, record: first.record, command: command, inTurn: true, failed: verdict}
	return second.connect(ctx)
}

// attempt is one connection and the layers on it.
type attempt struct {
	to      target
	config  Config        // with its defaults
	record  *ServerState  // the memory of the server; nil: none
	known   *ServerState  // the same, as far as the attempt goes by it
	command *starting     // to start at once; nil: none
	inTurn  bool          // nothing leaves early
	failed  early.Verdict // on the attempt before; Final without any

	transport *transport.Conn
	layer     Transport // the transport, or a layer of the caller's on it
	key       string    // the key accepted by the server, as in ServerState
	factors   int       // proofs accepted by the server

	// The connection layer is there before authentication is over if the
	// packets of a command leave early.
	early  userauth.Early
	held   *early.Transport
	client *Client
}

// connect dials, and joins the layers. A program with another stack writes its
// own: three calls, each with a package to itself.
func (a *attempt) connect(ctx context.Context) (client *Client, err error) {
	nc, err := a.config.Dial(ctx, "tcp", a.to.addr)
	if err != nil {
		return nil, a.phaseError("dial", ctxerr.Join(ctx, err))
	}
	a.transport = transport.Client(nc, a.transportConfig())
	defer func() {
		if client == nil { // also when a function of the caller's panics
			a.close()
		}
	}()
	if a.layer = a.config.WrapTransport(a.transport); a.layer == nil {
		return nil, errors.New("nacre: Config.WrapTransport returned nil: it has to return the transport or a layer on it")
	}

	// RFC 4253: versions, keys, and the host key, which the verifier judges.
	if err := a.transport.Handshake(ctx); err != nil {
		return nil, a.phaseError("handshake", err)
	}
	// RFC 4252: who the user is.
	if err := userauth.Authenticate(ctx, a.loginLayer(), a.authConfig(ctx)); err != nil {
		return nil, a.phaseError("authenticate", err)
	}
	if err := hostkeys.Learn(ctx, a.transport, a.to.addr, a.config.HostKey); err != nil {
		return nil, a.phaseError("handshake", err)
	}
	a.rememberServer()
	// RFC 4254: channels, on which commands and tunnels run.
	if a.client == nil {
		return newClient(a.newConn(a.layer), a.transport, a.bears()), nil
	}
	if err := a.openEarly(ctx); err != nil {
		return nil, a.phaseError("authenticate", err)
	}
	return a.client, nil
}

// loginLayer returns the layer for userauth. A layer that cannot wait for the
// service leaves the wait to the transport, if the server needs it.
func (a *attempt) loginLayer() Transport {
	if _, ok := a.layer.(userauth.ServiceWaiter); ok || !a.bears().WaitService {
		return a.layer
	}
	return struct {
		Transport
		userauth.ServiceWaiter
	}{a.layer, a.transport}
}

// phaseError returns the error of Dial for the failure of a phase.
func (a *attempt) phaseError(op string, err error) error {
	return &Error{Op: op, Addr: a.to.addr, Err: err}
}

// close ends the connection, as far as there is any.
func (a *attempt) close() {
	if a.client != nil {
		a.client.Close()
	}
	if a.layer != nil {
		a.layer.Close()
	}
	a.transport.Close() // should the layer not do so
}

// transportConfig adds the key exchanges to expect of the server.
func (a *attempt) transportConfig() *transport.Config {
	tc := a.config.transportConfig(a.to.addr)
	if a.guesses() {
		tc.ServerKeyExchanges = a.known.KeyExchanges
	}
	return &tc
}

// guesses reports whether the first message of the key exchange leaves early.
func (a *attempt) guesses() bool {
	return !a.inTurn && a.known != nil && len(a.known.KeyExchanges) > 0 && a.known.trusted(a.known.WrongGuesses)
}

// authConfig adds the early messages of the login.
func (a *attempt) authConfig(ctx context.Context) *userauth.Config {
	bears := a.bears()
	ac := &userauth.Config{
		User: a.to.user, Methods: a.config.Auth, Banner: a.config.Banner, Trace: a.trace,
		Probes: bears.Probes, WaitService: bears.WaitService, RequireFactors: a.config.RequireFactors,
	}
	if a.failed == early.RetryAsking { // what the server takes, before anything is offered
		ac.Methods = append([]userauth.Method{userauth.None()}, ac.Methods...)
	}
	if a.known != nil {
		ac.LastKey = a.known.Key
	}
	if a.command != nil && bears.Channel && (bears.Refusal || a.firstProofDecides()) {
		a.early.Packets = func() [][]byte { return a.earlyPackets(ctx) }
		ac.Early = &a.early
	}
	return ac
}

// bears returns what the server bears, as far as the attempt makes use of it.
func (a *attempt) bears() early.Server {
	if a.inTurn {
		return early.InTurn
	}
	return early.ServerOf(a.transport.State().ServerVersion)
}

// firstProofDecides reports whether the first proof is our last, or was enough
// before. Otherwise a refusal costs the connection, where the server
// hangs up because of the packets behind the refused request.
func (a *attempt) firstProofDecides() bool {
	byKey := len(a.config.Auth) > 0 && a.config.Auth[0] != nil && a.config.Auth[0].Name() == "publickey"
	return byKey && (len(a.config.Auth) == 1 || a.known != nil && a.known.KeyOnly)
}

// trace notes by which proofs the user got in.
func (a *attempt) trace(tried userauth.Attempt) {
	if tried.Err == nil && (tried.Status == userauth.Success || tried.Status == userauth.PartialSuccess) {
		a.factors++
		if tried.Key != nil {
			a.key = userauth.KeyName(tried.Key)
		}
	}
	if a.command != nil && tried.Status != userauth.Success {
		// Whatever left behind this attempt has had no effect.
		a.command.grace.hold(false)
	}
	if a.config.AuthTrace != nil {
		a.config.AuthTrace(tried)
	}
}

// earlyPackets starts the connection layer on a held transport, and the command
// on the connection layer, and returns the packets of both.
func (a *attempt) earlyPackets(ctx context.Context) [][]byte {
	if a.callerEnded() {
		return nil // the grace is for commands that have left before
	}
	if a.client == nil {
		a.held = early.Hold(a.layer)
		a.client = newClient(a.newConn(a.held), a.transport, a.bears())
		// Should ctx end meanwhile, authentication ends by itself.
		_ = a.command.send(ctx, a.client)
		_ = a.client.conn.Flush(ctx)
	}
	a.command.grace.hold(a.command.sent)
	return a.held.Held()
}

// callerEnded reports whether the caller of Start has given up.
func (a *attempt) callerEnded() bool { return a.command != nil && a.command.cmd.ctx.Err() != nil }

// openEarly lets the early connection layer go on, once the user is
// authenticated.
func (a *attempt) openEarly(ctx context.Context) error {
	sent := a.early.Outcome == userauth.EarlyGranted
	if !sent {
		if a.callerEnded() {
			return ctxerr.Of(a.command.cmd.ctx)
		}
		a.early.Outcome = userauth.EarlyUncertain // until the packets have left, after all
	}
	return a.held.Open(ctx, sent)
}

// newConn starts the connection layer. Announcements of host keys find their
// handler in place, because the server may send them behind the login at once.
func (a *attempt) newConn(t connection.Transport) *connection.Conn {
	cc := a.config.Connection
	_, own := cc.HandleRequest[hostkeys.Request]
	if h, ok := hostkeys.Handler(a.transport, a.to.addr, a.config.HostKey); ok && !own {
		cc.HandleRequest = maps.Clone(cc.HandleRequest)
		if cc.HandleRequest == nil {
			cc.HandleRequest = make(map[string]connection.RequestFunc, 1)
		}
		cc.HandleRequest[hostkeys.Request] = h
	}
	return connection.New(t, &cc)
}

// rememberServer puts down facts that save round trips next time.
func (a *attempt) rememberServer() {
	state := &ServerState{
		KeyExchanges: a.transport.State().ServerKeyExchanges,
		Key:          a.key,
		KeyOnly:      a.key != "" && a.factors == 1,
	}
	state.count(a.record, a.failed, a.guesses(), a.guesses() || a.early.Outcome == userauth.EarlyGranted)
	if !a.record.equal(state) {
		a.config.Memory.Put(a.to.String(), state)
	}
}

// rememberInTurn puts down that a server drops early messages. The target was
// connected to before.
func rememberInTurn(to string, config *Config) {
	t, err := parseTarget(to)
	if err != nil {
		return
	}
	var state ServerState
	memory := config.withDefaults().Memory
	if known, ok := memory.Get(t.String()); ok && known != nil {
		state = *known
	}
	state.DisableEarly = true
	memory.Put(t.String(), &state)
}

// facts returns the facts for the verdict on a failed attempt.
func (a *attempt) facts(ctx context.Context, err error) early.Facts {
	f := early.Facts{
		Disabled:     a.inTurn,
		ContextEnded: ctx.Err() != nil || a.callerEnded(),
		Refused:      errors.As(err, new(*transport.HostKeyError)) || errors.As(err, new(*transport.BudgetError)),
		Disconnected: errors.As(err, new(*transport.DisconnectError)),
		WrongGuess:   errors.Is(err, transport.ErrEarlyKeyExchange),
		Guessed:      a.guesses(),
		Outcome:      a.early.Outcome,
		CommandSent:  a.command != nil && a.command.sent,
	}
	var failed *Error
	if errors.As(err, &failed) {
		f.TimedOut, f.Handshake = failed.Timeout(), failed.Op == "handshake"
	}
	if a.transport != nil {
		version := a.transport.State().ServerVersion
		f.Met, f.BearsRefusal = version != "", early.ServerOf(version).Refusal
	}
	var login *userauth.Error
	if errors.As(err, &login) {
		f.Login, f.BrokeOffInFlight = true, login.ProbesBrokeOff
		f.KeyCutOff = login.TooManyFailures && len(a.config.Auth) > 1 && keyFailedFirst(login.Tried)
	}
	return f
}

// keyFailedFirst reports whether the first attempt of a login was a key without
// a verdict of the server. OpenSSH does not count the question for its methods as a
// refusal. A person is not bothered to type a secret a second time.
func keyFailedFirst(tried []userauth.Attempt) bool {
	return len(tried) > 0 && tried[0].Key != nil && tried[0].Err != nil && !errors.Is(tried[0].Err, userauth.ErrSkip)
}
