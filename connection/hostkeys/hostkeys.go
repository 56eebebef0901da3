// Package hostkeys keeps a host-key verifier up to date about a server that has
// let the user in. A new key is learned then, and never before. The server may
// announce all of its keys, and prove them, by OpenSSH's global requests (OpenSSH
// PROTOCOL section 2.5).
//
// A verifier takes part by the methods of [Learner] and [Rotator], as a
// knownhosts.Policy does; other verifiers are left alone. nacre.Dial does all of
// this by itself. Programs that stack the layers by hand call [Learn] and
// [Handler] between authentication and connection.New:
//
//	err := hostkeys.Learn(ctx, t, addr, verifier) // an error: close t
//	…
//	config := new(connection.Config)
//	if h, ok := hostkeys.Handler(t, addr, verifier); ok {
//		config.HandleRequest = map[string]connection.RequestFunc{hostkeys.Request: h}
//	}
//	conn := connection.New(t, config)
package hostkeys

import (
	"context"
	"net"
	"slices"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/transport"
)

const (
	// Request is the name of the global request that announces host keys.
	Request = "hostkeys-00@openssh.com"

	// proveRequest is the name of the client's global request for proofs.
	proveRequest = "hostkeys-prove-00@openssh.com"

	// maxKeys bounds an announcement. A longer announcement is passed over.
	maxKeys = 256
)

// Transport is the part of a transport that this package needs. A *transport.Conn
// has these methods, and so does a decorator that embeds a *transport.Conn.
type Transport interface {
	State() transport.State
	SessionID() []byte
	RemoteAddr() net.Addr
}

var _ Transport = (*transport.Conn)(nil)

// Learner is a host-key verifier that records new keys. addr, remote and key are
// the arguments of VerifyHostKey. The user is authenticated. An error means that
// the key must not be trusted after all.
type Learner interface {
	LearnHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

// Rotator is a host-key verifier that takes notice of a server's announced keys.
// addr, remote and key are the arguments of VerifyHostKey. prove has the server
// sign for some of the announced keys, and returns nil if all of these signatures
// are right. ctx ends with the connection. The error is for callers other than
// [Handler], so a Rotator reports the error by means of its own.
type Rotator interface {
	RotateHostKeys(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey,
		announced []ssh.PublicKey, prove func(ctx context.Context, keys []ssh.PublicKey) error) error
}

// Learn tells a verifier that the server with the host key of t has let the user
// in. Learn is called once authentication is done. A verifier that is no
// [Learner] is not told, and the result is nil.
//
// The error is a [*transport.HostKeyError]: the caller closes t. When ctx ends
// while the verifier waits, the error is also that of ctx.
func Learn(ctx context.Context, t Transport, addr string, verifier transport.HostKeyVerifier) error {
	learner, ok := verifier.(Learner)
	if !ok {
		return nil
	}
	key := t.State().HostKey
	if err := learner.LearnHostKey(ctx, addr, t.RemoteAddr(), key); err != nil {
		return &transport.HostKeyError{Addr: addr, Key: key, Err: ctxerr.Join(ctx, err)}
	}
	return nil
}

// Handler returns the handler of announcements on one connection over t. The
// handler belongs under the name [Request] into connection.Config.HandleRequest,
// because a server announces its keys right behind the success of authentication.
// ok is false if the verifier is no [Rotator]: then there is nothing to install.
//
// Only the first announcement of a connection counts. The verifier runs on a
// goroutine of its own, because a person may be asked and the server's further
// requests must not wait meanwhile. The end of the connection ends the context of
// the verifier.
func Handler(t Transport, addr string, verifier transport.HostKeyVerifier) (handler connection.RequestFunc, ok bool) {
	rotator, ok := verifier.(Rotator)
	if !ok {
		return nil, false
	}
	state, remote, sessionID := t.State(), t.RemoteAddr(), t.SessionID()
	var announced atomic.Bool
	return func(ctx context.Context, r *connection.Request) (reply []byte, ok bool) {
		keys, ok := parseKeys(r.Payload)
		if !ok || announced.Swap(true) {
			return nil, false
		}
		p := &prover{conn: r.Conn(), sessionID: sessionID, algorithm: state.HostKeyAlgorithm}
		go func() { _ = rotator.RotateHostKeys(ctx, addr, remote, state.HostKey, keys, p.prove) }()
		return nil, true
	}, true
}

// parseKeys reads an announcement. Keys of unknown types are passed over, as
// OpenSSH PROTOCOL section 2.5 demands.
func parseKeys(payload []byte) (keys []ssh.PublicKey, ok bool) {
	for n := 0; len(payload) > 0; n++ {
		var m struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if n == maxKeys || ssh.Unmarshal(payload, &m) != nil {
			return nil, false
		}
		payload = m.Rest
		if key, err := ssh.ParsePublicKey(slices.Clone(m.Key)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, true
}
