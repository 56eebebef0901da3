// Package transport is the client side of the SSH transport layer protocol,
// RFC 4253: it turns a [net.Conn] into an encrypted, authenticated stream of
// packets, to a server whose host key was verified.
//
// It takes a connection and knows nothing of what runs above it. [Client]
// does no I/O; [Conn.Handshake] exchanges versions and keys; after that
// [Conn.ReadPacket] and [Conn.WritePacket] carry the messages of the layers
// above, 50 to 127, and new keys are exchanged behind their back. Messages 1
// to 49, and the local extensions from 128 on, never leave this package.
//
// Programs that want to run a command use the nacre package, which joins the
// layers. This one is for those who replace a layer, or who speak a protocol
// of their own over an SSH transport.
//
// No goroutine is there while nothing happens: key re-exchange runs in the
// callers of ReadPacket and WritePacket, so somebody must be reading for it to
// end. Only what the reader must not write itself, answers to the server and a
// KEXINIT that is due, is written by goroutines that end with that.
package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Conn is one SSH transport connection, seen from the client.
//
// Its methods may be called concurrently, except that only one goroutine at a
// time gets on with ReadPacket. After the connection has ended, every method
// returns an error that is [net.ErrClosed] and wraps what ended it.
type Conn struct {
	conn   net.Conn
	config Config // effective: defaults filled in, lists copied

	begun  atomic.Bool   // Handshake was called
	shaken chan struct{} // closed when that has ended
	result error         // of it, valid after shaken

	anticipated *anticipation // between greet and the server's KEXINIT; of the reader

	r    readHalf
	w    writeHalf
	owed owedQueue

	handshake, login budget // HandshakeTimeout, of the first exchange, and LoginTimeout

	authed    atomic.Bool   // SSH_MSG_USERAUTH_SUCCESS has passed
	delivered atomic.Uint32 // sequence number of what ReadPacket has returned last

	// done is closed when the connection has ended; final is set before. That
	// is one and the same for all calls, so that they agree on errors.Is.
	done  chan struct{}
	end   sync.Once
	final *endError

	mu       sync.Mutex  // guards what follows
	rekeying *time.Timer // ends the connection when a re-exchange takes too long; nil: none under way
	service  string      // requested, and not accepted yet
	state    State
	session  []byte // exchange hash of the first exchange, RFC 4253 section 7.2
	proof    []byte // the host key's signature of it
	exts     []extension
}

// Client returns the client side of an SSH transport over c, which it owns
// from now on. It does no I/O; Handshake has to come next. The config is
// copied.
func Client(c net.Conn, config *Config) *Conn {
	if config == nil {
		config = new(Config)
	}
	t := &Conn{conn: c, config: config.clone(), done: make(chan struct{}), shaken: make(chan struct{})}
	t.r.init(c, t.config.MaxPacket)
	t.w.init(c)
	t.owed.init()
	t.handshake.init(t.config.HandshakeTimeout, func() {
		t.fail(t.overBudget("HandshakeTimeout", t.config.HandshakeTimeout))
	})
	t.login.init(t.config.LoginTimeout, func() { t.fail(t.overBudget("LoginTimeout", t.config.LoginTimeout)) })
	return t
}

// Handshake exchanges versions and keys and has the host key verified.
// When ctx ends, the connection is closed and the context's error is returned.
// ctx has no effect afterwards: Config.LoginTimeout, LoginBytes and LoginPackets
// go on to bound what the server may take until the user is authenticated. A
// failed handshake always ends the connection; a second call waits for the first,
// as long as its own ctx allows, and returns its result.
//
// Errors are a [*HostKeyError], a [*NegotiationError], a [*DisconnectError], a
// [*ProtocolError], a [*BudgetError], or an error of the connection below or of
// ctx, wrapped with the stage in which it occurred.
func (c *Conn) Handshake(ctx context.Context) error {
	if c.begun.CompareAndSwap(false, true) {
		defer close(c.shaken)
		c.result = errNoHandshake // unless it returns: a verifier may panic
		c.result = c.runHandshake(ctx)
		return c.result
	}
	select {
	case <-c.shaken: // counts, even when ctx has ended as well
	default:
		select {
		case <-c.shaken:
		case <-ctx.Done():
			return contextError(ctx)
		}
	}
	return c.result
}

// SessionID returns a copy of the session identifier, the exchange hash of the
// first key exchange (RFC 4253 section 7.2). It is nil before the handshake.
func (c *Conn) SessionID() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.session...)
}

// HostKeyProof returns the host key and a copy of its signature of the session
// identifier, in wire form: what convinces a third party, such as an agent, that
// this session is one with that host. Both are nil before the handshake.
func (c *Conn) HostKeyProof() (key ssh.PublicKey, signature []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.HostKey, append([]byte(nil), c.proof...)
}

// State is what a handshake has settled. Facts only; changing it has no effect.
type State struct {
	ClientVersion string // as sent, without CR LF
	ServerVersion string
	KeyExchange   string // method of the latest exchange

	HostKeyAlgorithm string
	HostKey          ssh.PublicKey // a *ssh.Certificate if the server has shown one

	// The algorithms of each direction. MAC is empty where the cipher
	// authenticates by itself.
	ClientCipher, ClientMAC string // client to server
	ServerCipher, ServerMAC string // server to client

	// ServerKeyExchanges are the methods that the server has offered in the
	// first exchange, as far as this package has them. See the Config's field.
	ServerKeyExchanges []string

	StrictKex bool // draft-miller-sshm-strict-kex: sequence numbers restart with each key
	Exchanges int  // key exchanges done, the first included
}

// State returns what was negotiated. Before the handshake it is empty.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.ServerKeyExchanges = slices.Clone(s.ServerKeyExchanges)
	return s
}

// RemoteAddr returns the address of the peer of the connection below.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// LocalAddr returns our address of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// Close ends the connection and unblocks every call. It tells the server with
// SSH_MSG_DISCONNECT if that is possible without waiting. It is idempotent,
// and safe from any goroutine.
func (c *Conn) Close() error {
	c.disconnect(net.ErrClosed)
	c.fail(net.ErrClosed)
	return nil
}

// fail ends the connection. The first cause is kept for all later calls.
func (c *Conn) fail(cause error) {
	c.end.Do(func() {
		final, ok := cause.(*endError) // what the reader gets of a poisoned sending direction
		if !ok {
			final = &endError{cause: cause}
		}
		if e := c.w.failed.Load(); e != nil && errors.Is(final.cause, io.ErrUnexpectedEOF) {
			final = e // after a reset, which a write has met first, there is nothing to read but an end
		}
		c.final = final
		close(c.done)
		c.conn.Close()
		c.owed.close()
		c.handshake.close()
		c.login.close()
		c.endExchange()
	})
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// untilEnd returns a context that ends with the connection too, for a function
// of the user's to wait by. The goroutine ends with that function.
func (c *Conn) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// alive returns nil while the connection has not ended.
func (c *Conn) alive() error {
	select {
	case <-c.done:
		return c.ended()
	default:
		return nil
	}
}

// ended returns the error that every call gets after the end of the
// connection. Only to be called when done is closed or about to be.
func (c *Conn) ended() error {
	<-c.done
	return c.final
}

// reject ends the connection with the first error of a direction, after which
// nothing can be read or sent in step with the peer any more.
func (c *Conn) reject(cause error) error {
	c.disconnect(cause)
	c.fail(cause)
	return c.ended()
}
