package connection

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// OpenReason says why a channel was not opened, RFC 4254 section 5.1.
type OpenReason uint32

// These are the reasons of RFC 4254 section 5.1.
const (
	Prohibited         OpenReason = 1
	ConnectFailed      OpenReason = 2
	UnknownChannelType OpenReason = 3
	ResourceShortage   OpenReason = 4
)

func (r OpenReason) String() string {
	switch r {
	case Prohibited:
		return "administratively prohibited"
	case ConnectFailed:
		return "connect failed"
	case UnknownChannelType:
		return "unknown channel type"
	case ResourceShortage:
		return "resource shortage"
	}
	return fmt.Sprintf("reason %d", uint32(r))
}

// OpenError is the refusal of a channel open: by the peer, or by our own Config.MaxChannels with
// [ResourceShortage].
type OpenError struct {
	Reason  OpenReason
	Message string // of the peer, cut to 200 bytes; not to be trusted
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("connection: channel open refused: %v: %q", e.Reason, e.Message)
}

// RequestError is the refusal of a request by the peer.
type RequestError struct {
	Name string
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("connection: request %q refused", e.Name)
}

// ProtocolError is a violation of RFC 4254 by the peer, and ends the connection.
type ProtocolError struct {
	Detail string
}

func (e *ProtocolError) Error() string {
	return "connection: protocol error: " + e.Detail
}

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Detail: fmt.Sprintf(format, args...)}
}

// KeepAliveError is the end of a connection whose peer was silent for too long: a [net.Error]
// whose Timeout is true.
type KeepAliveError struct {
	Interval time.Duration
	Count    int // the questions that stayed unanswered
}

func (e *KeepAliveError) Error() string {
	return fmt.Sprintf("connection: no answer to %d keepalives, %v each", e.Count, e.Interval)
}

// Timeout is true.
func (e *KeepAliveError) Timeout() bool { return true }

// Temporary is false: the connection is gone.
func (e *KeepAliveError) Temporary() bool { return false }

var _ net.Error = (*KeepAliveError)(nil)

// closedError is the error of calls after the end of a connection, channel or stream.
type closedError struct {
	text  string
	cause error // nil when the end was asked for
}

var (
	errConnClosed    = &closedError{text: "connection: use of closed connection"}
	errChannelClosed = &closedError{text: "connection: use of closed channel"}
	errPeerClosed    = &closedError{text: "connection: channel closed by the peer"}
	errInvalidRead   = errors.New("connection: reader of ReadFrom returned an invalid count")
	errInvalidWrite  = errors.New("connection: writer of WriteTo returned an invalid count")
	errReadClosed    = &closedError{text: "connection: read after the stream was closed for reading"}
	errWriteClosed   = &closedError{text: "connection: write after CloseWrite"}
	errAnswered      = errors.New("connection: channel open was answered already")
	errPending       = fmt.Errorf("connection: %d requests are unanswered; wait for answers before sending more", maxPending)
)

// closedBy is the error of a connection that the cause ended; nil stands for our own Close.
func closedBy(cause error) error {
	if cause == nil {
		return errConnClosed
	}
	return &closedError{text: cause.Error(), cause: cause}
}

func (e *closedError) Error() string { return e.text }

// Unwrap puts the cause first: errors.As for a net.Error then finds the cause's Timeout before
// the Timeout of net.ErrClosed.
func (e *closedError) Unwrap() []error {
	if e.cause == nil {
		return []error{net.ErrClosed}
	}
	return []error{e.cause, net.ErrClosed}
}

// cut bounds text of the peer that stays in an error.
func cut(text string) string {
	return text[:min(len(text), maxPeerText)]
}
