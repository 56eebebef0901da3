//go:build !windows

package identity

import (
	"context"
	"errors"
	"net"
	"os"
)

// SystemAgent connects to the agent at SSH_AUTH_SOCK of the environment. Without
// SSH_AUTH_SOCK on Windows, SystemAgent connects to the service OpenSSH
// Authentication Agent.
func SystemAgent(ctx context.Context) (net.Conn, error) {
	name := os.Getenv("SSH_AUTH_SOCK")
	if name == "" {
		return nil, errors.New("identity: no agent: SSH_AUTH_SOCK is not set")
	}
	return AgentSocket(name)(ctx)
}

func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", name)
}
