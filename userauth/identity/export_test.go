package identity

import (
	"net"

	"golang.org/x/crypto/ssh"
)

// AgentSigner returns the first key of the agent at the other end, as a signer.
func AgentSigner(conn net.Conn) (ssh.Signer, error) {
	keys, err := newAgentConn(conn).keys()
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}
