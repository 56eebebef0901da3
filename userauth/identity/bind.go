package identity

import (
	"context"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// sessionBindMsg is the content of the extension session-bind@openssh.com, OpenSSH
// PROTOCOL.agent section 1.
type sessionBindMsg struct {
	HostKey    []byte
	SessionID  []byte
	Signature  []byte
	Forwarding bool
}

// bind tells the agent for which session the connection is: for a login, or for
// forwarding the agent to the host of the session. After a login, OpenSSH's agent
// lets no other session be bound. Agents that do not know or refuse the extension
// are used all the same, as by OpenSSH: the decision is the agent's.
func (a *agentConn) bind(hostKey ssh.PublicKey, sessionID, signature []byte, forwarding bool) error {
	_, _ = a.Extension("session-bind@openssh.com",
		ssh.Marshal(sessionBindMsg{hostKey.Marshal(), sessionID, signature, forwarding}))
	return a.lost()
}

// Forwarded returns a function that connects to an agent as connect does, for a
// connection that is handed to a server. The connection is bound to the session
// with the server, OpenSSH PROTOCOL.agent section 1, so keys that may not be used
// by way of the server are out of reach. hostKey and signature are the results of
// HostKeyProof of a transport.Conn.
func Forwarded(connect func(ctx context.Context) (net.Conn, error),
	hostKey ssh.PublicKey, sessionID, signature []byte) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		if err = conn.SetDeadline(time.Now().Add(agentPatience)); err == nil {
			err = newAgentConn(conn).bind(hostKey, sessionID, signature, true)
		}
		if err == nil {
			err = conn.SetDeadline(time.Time{})
		}
		if !stop() {
			err = ctxerr.Of(ctx)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}
