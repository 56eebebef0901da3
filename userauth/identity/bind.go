package identity

import (
	"context"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// sessionBindMsg is what OpenSSH PROTOCOL.agent section 1 has in the extension
// session-bind@openssh.com.
type sessionBindMsg struct {
	HostKey    []byte
	SessionID  []byte
	Signature  []byte
	Forwarding bool
}

// bind tells the agent for which session the connection is: for a login, after
// which OpenSSH's agent lets nothing more be bound, or for forwarding it to the
// host of that session. Agents that do not know this, or do not like it, are used
// all the same, as OpenSSH does: they are the ones who decide what it means.
func (a *agentConn) bind(hostKey ssh.PublicKey, sessionID, signature []byte, forwarding bool) error {
	_, _ = a.Extension("session-bind@openssh.com",
		ssh.Marshal(sessionBindMsg{hostKey.Marshal(), sessionID, signature, forwarding}))
	return a.lost()
}

// Forwarded returns a function that connects to an agent as connect does, for a
// server that gets the connection: it is bound to the session with that server,
// OpenSSH PROTOCOL.agent section 1, so that keys which may not go that way are
// out of reach. The proof is what transport.Conn has of the host key.
func Forwarded(connect func(ctx context.Context) (net.Conn, error),
	hostKey ssh.PublicKey, sessionID, signature []byte) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if err = conn.SetDeadline(time.Now().Add(agentPatience)); err == nil {
			err = newAgentConn(conn).bind(hostKey, sessionID, signature, true)
		}
		if err == nil {
			err = conn.SetDeadline(time.Time{})
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}
