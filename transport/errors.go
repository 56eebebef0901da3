package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// prefix begins every error text of this package, once.
const prefix = "transport: "

// maxQuoted bounds the peer's text in an error, in bytes.
const maxQuoted = 256

// A DisconnectError is the server's SSH_MSG_DISCONNECT, RFC 4253 section 11.1.
type DisconnectError struct {
	Reason  uint32
	Message string // as sent, cut to 256 bytes; not safe for a terminal
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("transport: server disconnected, reason %d: %q", e.Reason, e.Message)
}

// A ProtocolError is the end of a connection whose server has violated the protocol.
type ProtocolError struct {
	Detail string // the violation; peer text is quoted and bounded
}

func (e *ProtocolError) Error() string { return "transport: protocol error: " + e.Detail }

// protocolErrorf makes a ProtocolError. Peer text goes through %q and clip.
func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Detail: fmt.Sprintf(format, args...)}
}

// A NegotiationError is the end of a handshake with a server that has none of our
// algorithms of a kind.
type NegotiationError struct {
	Kind   string   // "key exchange", "host key", "cipher client to server", …
	Ours   []string // our offer
	Theirs []string // the server's, as sent
}

func (e *NegotiationError) Error() string {
	return fmt.Sprintf("transport: no common algorithm for %s: we offer %q, the server offers %q",
		e.Kind, strings.Join(e.Ours, ","), clip(strings.Join(e.Theirs, ",")))
}

// ErrEarlyKeyExchange is the error of a Handshake whose Config.ServerKeyExchanges are
// not the server's. Connect anew without them.
var ErrEarlyKeyExchange = errors.New("transport: the early key exchange has failed")

// A HostKeyError is the end of a connection whose host key was not accepted: the
// verifier has refused the key, the server could not prove its possession, or the key
// is too weak or has changed during the connection.
type HostKeyError struct {
	Addr string        // Config.Addr
	Key  ssh.PublicKey // the server's; nil if malformed
	Err  error         // of the verifier, or of this package
}

func (e *HostKeyError) Error() string {
	reason := strings.TrimPrefix(e.Err.Error(), prefix)
	if e.Key == nil {
		return fmt.Sprintf("transport: host key of %s: %s", e.Addr, reason)
	}
	return fmt.Sprintf("transport: host key %s refused: %s", ssh.FingerprintSHA256(e.Key), reason)
}

func (e *HostKeyError) Unwrap() error { return e.Err }

// ErrHostKeySignature is wrapped by the HostKeyError of a server that did not prove
// its possession of the private key.
var ErrHostKeySignature = errors.New("transport: the signature over the key exchange is not valid")

// A BudgetError is the end of a connection whose server took more than the Config
// grants. A BudgetError of time is a [net.Error] with a Timeout of true, and also
// context.DeadlineExceeded and os.ErrDeadlineExceeded.
type BudgetError struct {
	Stage string // "version exchange", "key exchange", "authentication" or "key re-exchange"
	Field string // of Config: "HandshakeTimeout", "LoginTimeout", "LoginBytes" or "LoginPackets"
	Limit string // the field's value: "2m0s" or a number
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("transport: %s: the server took more than %s %s", e.Stage, e.Field, e.Limit)
}

// Timeout reports whether the server took too much time.
func (e *BudgetError) Timeout() bool { return strings.HasSuffix(e.Field, "Timeout") }

// Temporary is false: the connection is gone.
func (e *BudgetError) Temporary() bool { return false }

// Is makes a timeout the errors of the standard library for a timeout.
func (e *BudgetError) Is(target error) bool {
	return e.Timeout() && (target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded)
}

var _ net.Error = (*BudgetError)(nil)

// endError is the error of every call after the end of a connection.
type endError struct{ cause error }

func (e *endError) Error() string {
	if e.cause == net.ErrClosed {
		return "transport: connection closed"
	}
	return "transport: connection ended: " + strings.TrimPrefix(e.cause.Error(), prefix)
}

func (e *endError) Is(target error) bool { return target == net.ErrClosed }
func (e *endError) Unwrap() error        { return e.cause }

// clip bounds the peer's text.
func clip(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "…"
	}
	return s
}
