package transport

import (
	"errors"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// lastWord bounds the time to send SSH_MSG_DISCONNECT: enough for a socket with room
// in its buffer, and little for whoever waits for Close.
const lastWord = 50 * time.Millisecond

// parseDisconnect turns the server's SSH_MSG_DISCONNECT into an error.
func parseDisconnect(p []byte) error {
	var m disconnectMsg
	if err := ssh.Unmarshal(p, &m); err != nil {
		return protocolErrorf("malformed DISCONNECT: %v", err)
	}
	return &DisconnectError{Reason: m.Reason, Message: clip(m.Description)}
}

// disconnect tells the server why the connection is about to end, unless a wait would
// be needed: somebody else is writing, or the connection takes no write deadline. The
// text says nothing of our side: file names and the like are none of the server's
// business.
func (c *Conn) disconnect(cause error) {
	m := disconnectMsg{Rest: []byte{0, 0, 0, 0}} // an empty language tag
	var hostKey *HostKeyError
	var negotiation *NegotiationError
	var protocol *ProtocolError
	switch {
	case errors.Is(cause, net.ErrClosed):
		m.Reason, m.Description = reasonByApplication, "disconnected by user"
	case errors.Is(cause, ErrEarlyKeyExchange):
		m.Reason, m.Description = reasonByApplication, "another key exchange was expected"
	case errors.As(cause, &hostKey):
		m.Reason, m.Description = reasonHostNotVerifiable, "host key not accepted"
	case errors.As(cause, &negotiation):
		m.Reason, m.Description = reasonKexFailed, "no common algorithm"
	case errors.As(cause, &protocol):
		m.Reason, m.Description = reasonProtocolError, "protocol error"
	default:
		return // the connection below is gone, or the server has left first
	}
	select {
	case <-c.done:
		return
	case <-c.w.lock:
	default:
		return
	}
	c.w.Borrow()
	defer c.unlockWriter(cause)
	if !c.w.greeted || c.w.err != nil || c.conn.SetWriteDeadline(time.Now().Add(lastWord)) != nil {
		return
	}
	// Some connections take a deadline and do not keep it.
	defer time.AfterFunc(2*lastWord, func() { c.conn.Close() }).Stop()
	if c.w.Seal(ssh.Marshal(&m)) == nil {
		_ = c.w.Flush()
	}
}
