package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxQuoted bounds how much of the peer's text an error shows, in bytes.
const maxQuoted = 256

// A DisconnectError is the server's farewell, RFC 4253 section 11.1.
type DisconnectError struct {
	Reason  uint32
	Message string // as sent, cut to 256 bytes; not safe for a terminal
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("transport: server disconnected, reason %d: %q", e.Reason, e.Message)
}

// A ProtocolError tells what the server did that the protocol does not allow.
type ProtocolError struct {
	Detail string // peer text in it is quoted and bounded
}

func (e *ProtocolError) Error() string { return "transport: " + e.Detail }

// protocolErrorf makes a ProtocolError. Peer text goes through %q and clip.
func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Detail: fmt.Sprintf(format, args...)}
}

// A NegotiationError says that the server has none of our algorithms of a kind.
type NegotiationError struct {
	Kind   string   // "key exchange", "host key", "cipher client to server", …
	Ours   []string // what we offered
	Theirs []string // what the server has, as sent
}

func (e *NegotiationError) Error() string {
	return fmt.Sprintf("transport: no common algorithm for %s: we offer %q, the server %q",
		e.Kind, strings.Join(e.Ours, ","), clip(strings.Join(e.Theirs, ",")))
}

// ErrAnticipation is what Handshake fails with when Config.ServerKeyExchanges
// was not what the server offers.
var ErrAnticipation = errors.New("the server offers other methods than expected")

// A HostKeyError says that the host key was not accepted: by the verifier,
// whose error it wraps, because it could not prove its possession of the key,
// or because the key is too weak or changed during the connection.
type HostKeyError struct {
	Addr string        // Config.Addr
	Key  ssh.PublicKey // what the server has shown; nil if it could not be parsed
	Err  error
}

func (e *HostKeyError) Error() string {
	if e.Key == nil {
		return fmt.Sprintf("transport: host key of %s: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("transport: host key %s refused: %v", ssh.FingerprintSHA256(e.Key), e.Err)
}

func (e *HostKeyError) Unwrap() error { return e.Err }

// ErrHostKeySignature is wrapped by the HostKeyError of a server that did not
// prove that it holds the private key.
var ErrHostKeySignature = errors.New("transport: the signature over the key exchange is not valid")

// A BudgetError is the end of a connection whose server took more than the
// Config grants it. If that is time, it is a [net.Error] whose Timeout is true,
// and also context.DeadlineExceeded and os.ErrDeadlineExceeded.
type BudgetError struct {
	Stage string // "version exchange", "key exchange", "authentication" or "key re-exchange"
	Field string // of Config: "HandshakeTimeout", "LoginTimeout", "LoginBytes" or "LoginPackets"
	Limit string // its value: "2m0s" or a number
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("transport: %s: the server took more than %s %s", e.Stage, e.Field, e.Limit)
}

// Timeout tells whether it was time that ran out.
func (e *BudgetError) Timeout() bool { return strings.HasSuffix(e.Field, "Timeout") }

// Temporary is false: the connection is gone.
func (e *BudgetError) Temporary() bool { return false }

// Is makes a timeout the errors that others know it by.
func (e *BudgetError) Is(target error) bool {
	return e.Timeout() && (target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded)
}

var _ net.Error = (*BudgetError)(nil)

// endError is what every call returns after the end of a connection.
type endError struct{ cause error }

func (e *endError) Error() string {
	if e.cause == net.ErrClosed {
		return "transport: connection closed"
	}
	return "transport: connection ended: " + strings.TrimPrefix(e.cause.Error(), "transport: ")
}

func (e *endError) Is(target error) bool { return target == net.ErrClosed }
func (e *endError) Unwrap() error        { return e.cause }

// noEOF replaces io.EOF: the end of the bytes below is never the good end of
// anything above, and io.EOF would be taken for that.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// contextError is ctx's error together with its cause, if that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// clip bounds the peer's text.
func clip(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "…"
	}
	return s
}
