// Package nacre is an SSH client for Go programs: nacre runs commands, opens
// tunnels, and leaves every layer below within reach.
//
// [Dial] joins three layers, each of which stands in a package of its own and
// can be replaced: transport (RFC 4253: versions, keys, packets), userauth (RFC
// 4252: who the user is) and connection (RFC 4254: channels and requests). On
// top, package channel has sessions and forwarded ports. Package knownhosts
// verifies host keys, userauth/identity has the keys of files and agents, and
// package sshtest has servers for tests.
//
//	client, err := nacre.Dial(ctx, "deploy@host", &nacre.Config{
//		HostKey: hosts,                                          // a knownhosts.DB, say
//		Auth:    []userauth.Method{userauth.PublicKeys(signer)},
//	})
//	…
//	out, err := client.Command(ctx, "uname -a").Output()
//
// Nothing here reads a file or the environment: the behaviour of a connection is
// in its [Config]. A server whose host key nothing verifies is refused.
package nacre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/early"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// Client is a connection to a server on which commands and tunnels run, many
// at a time. All methods may be called concurrently.
type Client struct {
	conn      *connection.Conn
	transport *transport.Conn // nil if NewClient made this client
	bears     early.Server

	mu   sync.Mutex // held while the first channel is opened
	used bool       // a channel was opened, or may have been
}

// NewClient returns a client on a connection whose layers the caller has built.
// The client owns the connection.
func NewClient(conn *connection.Conn) *Client { return newClient(conn, nil, early.InTurn) }

func newClient(conn *connection.Conn, t *transport.Conn, bears early.Server) *Client {
	return &Client{conn: conn, transport: t, bears: bears}
}

// Conn returns the connection layer, for requests and channel types of the
// caller's own.
func (c *Client) Conn() *connection.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = true
	return c.conn
}

// Transport returns the transport layer, for its State: the negotiated
// algorithms and the host key. The packets of the transport belong to the
// connection layer. Transport returns nil if NewClient made the client.
func (c *Client) Transport() *transport.Conn { return c.transport }

// Session opens a session, for programs that need more control than Command
// gives. When ctx ends, its error is returned; ctx has no effect afterwards.
func (c *Client) Session(ctx context.Context) (*channel.Session, error) {
	return channel.NewSession(ctx, c.Conn())
}

// openSession opens a session for a command. The first channel opens early,
// without a wait for the server's answer, if the server bears early channels.
func (c *Client) openSession(ctx context.Context) (s *channel.Session, isEarly bool, err error) {
	c.mu.Lock()
	if isEarly = c.bears.Channel && !c.used; isEarly {
		// Nobody may overtake: an early channel counts on being the first.
		defer c.mu.Unlock()
		c.used = true
		s, err = channel.NewSessionEarly(ctx, c.conn, 0)
		return s, true, err
	}
	c.used = true
	c.mu.Unlock()
	s, err = channel.NewSession(ctx, c.conn)
	return s, false, err
}

// bound has connections to a forwarded agent bound to this client's server. An
// agent of a client whose layers somebody else built stays unbound.
func (c *Client) bound(agent func(ctx context.Context) (net.Conn, error)) func(ctx context.Context) (net.Conn, error) {
	if c.transport == nil {
		return agent
	}
	key, signature := c.transport.HostKeyProof()
	return identity.Forwarded(agent, key, c.transport.SessionID(), signature)
}

// DialContext has the server connect to an address: "tcp" and a "host:port",
// or "unix" and a path. The method fits wherever a dial function is asked for.
// When ctx ends, its error is returned; ctx has no effect on the connection
// afterwards.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return channel.Dial(ctx, c.Conn(), network, addr)
}

// Listen has the server listen on an address, and hand its connections to the
// listener, like [channel.Listen]. ctx is as for DialContext.
func (c *Client) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return channel.Listen(ctx, c.Conn(), network, addr)
}

// Wait waits until the connection has ended, and returns the cause: nil after
// Close.
func (c *Client) Wait() error { return c.conn.Wait() }

// Close ends the connection and everything that runs on the connection. Close
// takes no longer than about 100 ms, whatever the server does.
func (c *Client) Close() error { return c.conn.Close() }

// Error is the failure of [Dial] after the target was dialled.
type Error struct {
	Op   string // the phase: "dial", "handshake" or "authenticate"
	Addr string // "host:port"
	Err  error
}

// Error returns one line with phase, address and cause.
func (e *Error) Error() string { return fmt.Sprintf("nacre: %s %s: %v", e.Op, e.Addr, e.Err) }

// Unwrap returns the error of the layer that has failed.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time ran out: a deadline of the context or of the
// connection below, or the server's budget in the Config.
func (e *Error) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}
