// Package nacre is an SSH client for Go programs: it runs commands, opens
// tunnels, and leaves every layer below within reach.
//
// [Dial] joins three layers, each of which stands in a package of its own and
// can be replaced: transport (RFC 4253: versions, keys, packets), userauth (RFC
// 4252: who we are) and connection (RFC 4254: channels and requests). On top,
// package channel has sessions and forwarded ports. Package knownhosts verifies
// host keys, userauth/identity has the keys of files and agents, and package
// sshtest has servers for tests.
//
//	client, err := nacre.Dial(ctx, "deploy@host", &nacre.Config{
//		HostKey: hosts,                                          // a knownhosts.DB, say
//		Auth:    []userauth.Method{userauth.PublicKeys(signer)},
//	})
//	…
//	out, err := client.Command(ctx, "uname -a").Output()
//
// Nothing here reads a file or the environment: what a connection does is in
// its Config. A server whose host key nothing verifies is refused.
package nacre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// Config says how to connect. It is copied; its slices and what they hold are
// shared, and may serve many connections at once.
//
// Where a server is lost because of what was sent before its turn, a second
// connection is made: Dial is called once more, and then HostKey, Banner,
// AuthTrace and the functions in Auth may be. A key that was shown to a server
// which takes it later only, and bears few refusals, is such a loss too. Keys may
// be shown several at a time, more of them than it would take to find the right
// one. Cautious excludes all of this.
type Config struct {
	// Dial makes the connection below; nil is a net.Dialer. The method
	// DialContext of a Client, the bastion, makes this a jump.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// HostKey verifies the server. It is required. It may have two more methods,
	// as a knownhosts.Policy does, which get the arguments of VerifyHostKey too:
	//   - LearnHostKey(ctx, addr, remote, key) error is called once the user is
	//     authenticated, before Dial returns; an error ends the connection.
	//   - UpdateHostKeys(ctx, addr, remote, key, announced, prove) error is
	//     called when the server announces its keys; announced is a
	//     []ssh.PublicKey, and prove, a func(context.Context, []ssh.PublicKey)
	//     error, has the server prove that it holds some of them. That runs
	//     beside everything else, and its ctx ends with the connection.
	HostKey transport.HostKeyVerifier

	// Auth are the authentication methods, tried in order. Without any, Dial
	// fails once the server is verified.
	Auth []userauth.Method

	// Banner gets the server's messages before authentication is done, clean
	// of control characters; nil drops them.
	Banner func(message string)

	// AuthTrace gets every attempt to authenticate when its result is known,
	// the one that succeeded included; nil is no one.
	AuthTrace func(attempt userauth.Attempt)

	// RequireFactors is how many proofs of who the user is the server must have
	// accepted, as [userauth.Config] has it; 0 is any number.
	RequireFactors int

	// Memory remembers servers, so that later connections to them take fewer
	// round trips. nil is one that all uses of this Config share, by its
	// address, for 4096 servers; a copy of the Config has another one. NoMemory
	// is none.
	Memory Memory

	// Cautious has everything sent in its turn only, to all servers: what
	// remains are the flights that the RFCs foresee. It is for servers that do
	// not bear what others of the same identification do: the error of a command
	// says so then.
	Cautious bool

	// Transport and Connection tune the layers. HostKey and Addr of the
	// transport are set by Dial.
	Transport  transport.Config
	Connection connection.Config
}

// Client is a connection to a server on which commands and tunnels run, many
// at a time. All its methods may be called concurrently.
type Client struct {
	conn      *connection.Conn
	transport *transport.Conn // nil if NewClient made this client
	bears     tolerance

	mu   sync.Mutex // held while the first channel is opened
	used bool       // a channel was opened, or may have been
}

// Dial connects to a target, "[user@]host[:port]" or an ssh:// URI. The port is
// 22 by default; there must be a user. A target or config that cannot be right
// is an error before anything is dialled. Every later error is an [*Error],
// which says which phase has failed.
//
// ctx bounds all of it: when it ends, the connection is closed and its error is
// returned. Once Dial has returned, ctx has no effect on the client. Without a
// deadline in ctx, what the server may take from the first byte to the success
// of authentication is bounded by LoginTimeout, LoginBytes and LoginPackets of
// Config.Transport, by default 2 minutes, 4 MiB and 4096 packets, beyond which
// the cause of the Error is a [*transport.BudgetError]. That does not count the
// time that a person takes to find a password; nor that of Config.Dial and of
// signers, which only ctx ends. A second connection has another budget.
func Dial(ctx context.Context, target string, config *Config) (*Client, error) {
	return connect(ctx, target, config, nil)
}

// NewClient returns a client on a connection whose layers the caller has built.
// It owns the connection.
func NewClient(conn *connection.Conn) *Client { return newClient(conn, nil, tolerance{}) }

func newClient(conn *connection.Conn, t *transport.Conn, bears tolerance) *Client {
	return &Client{conn: conn, transport: t, bears: bears}
}

// Conn returns the connection layer, for requests and channel types of one's
// own.
func (c *Client) Conn() *connection.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = true
	return c.conn
}

// openSession opens a session for a command. If it is the first channel and the
// server bears it, that is early: nothing waits for the answer.
func (c *Client) openSession(ctx context.Context) (s *channel.Session, early bool, err error) {
	c.mu.Lock()
	if early = c.bears.early && !c.used; early {
		// Whoever is second must not overtake: the number would be his.
		defer c.mu.Unlock()
		c.used = true
		s, err = channel.PresumeSession(ctx, c.conn, 0)
		return s, true, err
	}
	c.used = true
	c.mu.Unlock()
	s, err = channel.NewSession(ctx, c.conn)
	return s, false, err
}

// bound has connections to an agent bound to this client's server, to which they
// are forwarded. Where somebody else has built the layers, they are as they are.
func (c *Client) bound(agent func(ctx context.Context) (net.Conn, error)) func(ctx context.Context) (net.Conn, error) {
	if c.transport == nil {
		return agent
	}
	key, signature := c.transport.HostKeyProof()
	return identity.Forwarded(agent, key, c.transport.SessionID(), signature)
}

// Transport returns the transport layer, for its State: what was negotiated,
// and the host key. It is nil if NewClient has made this client. Its packets
// belong to the connection layer.
func (c *Client) Transport() *transport.Conn { return c.transport }

// Session opens a session, for what Command does not do. When ctx ends, its
// error is returned; it has no effect afterwards.
func (c *Client) Session(ctx context.Context) (*channel.Session, error) {
	return channel.NewSession(ctx, c.Conn())
}

// DialContext has the server connect to an address: "tcp" and a "host:port",
// or "unix" and a path. It fits wherever a dial function is asked for. When ctx
// ends, its error is returned; it has no effect on the connection afterwards.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return channel.Dial(ctx, c.Conn(), network, addr)
}

// Listen has the server listen on an address, and hand its connections to the
// listener, as [channel.Listen] has it. ctx is as for DialContext.
func (c *Client) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return channel.Listen(ctx, c.Conn(), network, addr)
}

// Wait waits until the connection has ended, and returns the cause: nil after
// Close.
func (c *Client) Wait() error { return c.conn.Wait() }

// Close ends the connection, and with it everything that runs on it. It takes
// no longer than about 100 ms, whatever the server does.
func (c *Client) Close() error { return c.conn.Close() }

// Error is a connection that was not made.
type Error struct {
	Op   string // the phase: "dial", "handshake" or "authenticate"
	Addr string // "host:port"
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("nacre: %s %s: %v", e.Op, e.Addr, e.Err) }

// withCause adds to an error why ctx has ended, if it has and err does not tell.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// Unwrap returns the error of the layer that has failed.
func (e *Error) Unwrap() error { return e.Err }

// Timeout tells whether time ran out: a deadline of the context or of the
// connection below, or what the Config grants the server.
func (e *Error) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}
