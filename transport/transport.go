// Package transport is the client side of the SSH transport layer protocol, RFC
// 4253: it turns a [net.Conn] into an encrypted, authenticated stream of packets to a
// server whose host key was verified.
//
// [Client] takes a connection, and does no I/O; [Conn.Handshake] exchanges versions
// and keys. After that [Conn.ReadPacket] and [Conn.WritePacket] carry the messages of
// the layers above, 50 to 127, and new keys are exchanged behind their back. Messages
// 1 to 49, and the local extensions from 128 on, never leave this package.
//
// Programs that want to run a command use the nacre package. This package is for those
// who replace a layer, or speak a protocol of their own over an SSH transport.
//
// An idle Conn has no goroutine. Key re-exchange runs in the callers of ReadPacket and
// WritePacket, so somebody must be reading for an exchange to end. The reader itself must
// not write: short-lived goroutines write answers to the server, and a KEXINIT when due.
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

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

// Conn is one SSH transport connection, seen from the client.
//
// Its methods may be called concurrently, but a ReadPacket waits for the one before.
// After the connection has ended, every method returns an error that is
// [net.ErrClosed] and wraps the cause of the end.
//
// A type that embeds a *Conn and overrides ReadPacket and WritePacket sees every
// packet: no other method carries packets of the layers above.
type Conn struct {
	conn   net.Conn
	config Config // effective: defaults filled in, lists copied

	begun  atomic.Bool   // Handshake was called
	shaken chan struct{} // closed when Handshake has ended
	result error         // of Handshake, valid after shaken

	early *earlyKeyExchange // from greet to the server's KEXINIT; belongs to the reader

	r     readHalf
	w     writeHalf
	batch batch
	owed  owedQueue

	handshake budget // HandshakeTimeout of the first exchange
	login     budget // LoginTimeout

	authed    atomic.Bool   // SSH_MSG_USERAUTH_SUCCESS has passed
	delivered atomic.Uint32 // sequence number of the packet that ReadPacket has returned last

	// done is closed when the connection has ended; final is set before. All calls
	// return the same final, so that they agree on errors.Is.
	done  chan struct{}
	end   sync.Once
	final *endError

	mu       sync.Mutex  // guards the fields below
	rekeying *time.Timer // ends the connection when a re-exchange takes too long; nil: none under way
	service  string      // requested, and not accepted yet
	state    State
	session  []byte // exchange hash of the first exchange, RFC 4253 section 7.2
	proof    []byte // the host key's signature of it
	exts     []extension
}

// Client returns the client side of an SSH transport over c. The Conn owns c from now
// on. Client does no I/O; Handshake has to come next. The config is copied.
func Client(c net.Conn, config *Config) *Conn {
	if config == nil {
		config = new(Config)
	}
	t := &Conn{conn: c, config: config.clone(), done: make(chan struct{}), shaken: make(chan struct{})}
	t.r.init(c, t.config.MaxPacket)
	t.w.init(c)
	t.batch.idle.L = &t.batch.mu
	t.owed.init()
	t.handshake.init(t.config.HandshakeTimeout, func() {
		t.fail(t.overBudget("HandshakeTimeout", t.config.HandshakeTimeout))
	})
	t.login.init(t.config.LoginTimeout, func() { t.fail(t.overBudget("LoginTimeout", t.config.LoginTimeout)) })
	return t
}

// Handshake exchanges versions and keys and has the host key verified. When ctx ends,
// the connection is closed, and the error is that of ctx, and its cause. ctx has no
// effect afterwards: Config.LoginTimeout, LoginBytes and LoginPackets bound the
// server until the user is authenticated. A failed handshake always ends the
// connection. A second call waits for the first, as long as its own ctx allows, and
// returns the same result.
//
// Errors are a [*HostKeyError], a [*NegotiationError], a [*DisconnectError], a
// [*ProtocolError], a [*BudgetError], [ErrEarlyKeyExchange], or an error of the
// connection below or of ctx, wrapped with the stage of the handshake.
func (c *Conn) Handshake(ctx context.Context) error {
	if c.begun.CompareAndSwap(false, true) {
		defer close(c.shaken)
		c.result = errNoHandshake // stays if a verifier panics
		c.result = c.runHandshake(ctx)
		return c.result
	}
	select {
	case <-c.shaken: // the result counts, even when ctx has ended as well
	default:
		select {
		case <-c.shaken:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
	}
	return c.result
}

// SessionID returns a copy of the session identifier, the exchange hash of the first
// key exchange (RFC 4253 section 7.2). SessionID is nil before the handshake.
func (c *Conn) SessionID() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.session...)
}

// HostKeyProof returns the host key and a copy of its signature of the session
// identifier, in wire form: the proof for a third party, for example an agent, that
// this session leads to that host. Both are nil before the handshake.
func (c *Conn) HostKeyProof() (key ssh.PublicKey, signature []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.HostKey, append([]byte(nil), c.proof...)
}

// State has the results of the handshake and of the latest key exchange. A State is a
// copy: changing a State has no effect.
type State struct {
	ClientVersion string // as sent, without CR LF
	ServerVersion string
	KeyExchange   string // method of the latest exchange

	HostKeyAlgorithm string
	HostKey          ssh.PublicKey // a *ssh.Certificate if the server has a certificate

	// The algorithms of each direction. MAC is empty where the cipher
	// authenticates by itself.
	ClientCipher, ClientMAC string // client to server
	ServerCipher, ServerMAC string // server to client

	// ServerKeyExchanges are the methods that the server has offered in the first
	// exchange, without the methods that this package does not implement. See
	// Config.ServerKeyExchanges.
	ServerKeyExchanges []string

	StrictKex bool // draft-miller-sshm-strict-kex: sequence numbers restart with each key
	Exchanges int  // key exchanges done, the first included
}

// PostQuantum reports whether the latest key exchange resists an attacker who records
// the connection now and has a quantum computer later. See Config.WarnWeakCrypto.
func (s State) PostQuantum() bool { return kex.PostQuantum(s.KeyExchange) }

// State returns the State of the connection, empty before the handshake.
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

// Close ends the connection and unblocks every call. Close tells the server with
// SSH_MSG_DISCONNECT if no wait is needed. Close is idempotent, and safe from any
// goroutine.
func (c *Conn) Close() error {
	c.disconnect(net.ErrClosed)
	c.fail(net.ErrClosed)
	return nil
}

// fail ends the connection. The first cause is kept for all later calls.
func (c *Conn) fail(cause error) {
	c.end.Do(func() {
		final, ok := cause.(*endError) // a reader passes on the error of the sending direction
		if !ok {
			final = &endError{cause: cause}
		}
		if e := c.w.failed.Load(); e != nil && errors.Is(final.cause, io.ErrUnexpectedEOF) {
			final = e // a write has met a reset, and the reader finds only an end
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

// untilEnd returns a context that ends with the connection too, for a function of the
// user's to wait by. The goroutine ends when the caller calls cancel.
func (c *Conn) untilEnd(ctx context.Context) (_ context.Context, cancel func()) {
	ctx, stop := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.done:
			stop(c.final)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(nil) }
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

// ended returns the error that every call gets after the end of the connection. Only
// to be called when done is closed or about to be.
func (c *Conn) ended() error {
	<-c.done
	return c.final
}

// reject ends the connection with the first error of a direction: nothing can be read
// or sent in step with the peer any more.
func (c *Conn) reject(cause error) error {
	c.disconnect(cause)
	c.fail(cause)
	return c.ended()
}
