package identity

import (
	"cmp"
	"context"
	"net"
	"os"
	"strings"
	"syscall"
)

// agentPipe is the address of the Windows service.
const agentPipe = `\\.\pipe\openssh-ssh-agent`

// SystemAgent connects to the agent at SSH_AUTH_SOCK of the environment. Without
// SSH_AUTH_SOCK on Windows, SystemAgent connects to the service OpenSSH
// Authentication Agent.
func SystemAgent(ctx context.Context) (net.Conn, error) {
	return AgentSocket(cmp.Or(os.Getenv("SSH_AUTH_SOCK"), agentPipe))(ctx)
}

func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	if !strings.HasPrefix(name, `\\.\pipe\`) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}
	// Without the flag, reads and writes would wait for one another.
	f, err := os.OpenFile(name, os.O_RDWR|syscall.FILE_FLAG_OVERLAPPED, 0)
	if err != nil {
		return nil, err
	}
	return pipe{f}, nil
}

// pipe is a named pipe as net.Conn.
type pipe struct{ *os.File }

func (p pipe) LocalAddr() net.Addr  { return p.RemoteAddr() }
func (p pipe) RemoteAddr() net.Addr { return &net.UnixAddr{Name: p.Name(), Net: "pipe"} }
