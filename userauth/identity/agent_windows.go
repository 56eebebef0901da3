package identity

import (
	"cmp"
	"context"
	"net"
	"os"
	"strings"
	"syscall"
)

// agentPipe is where the service of Windows listens.
const agentPipe = `\\.\pipe\openssh-ssh-agent`

// SystemAgent connects to the agent that the environment names by SSH_AUTH_SOCK,
// and on Windows, where there is none, to the service OpenSSH Authentication
// Agent.
func SystemAgent(ctx context.Context) (net.Conn, error) {
	return AgentSocket(cmp.Or(os.Getenv("SSH_AUTH_SOCK"), agentPipe))(ctx)
}

func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	if !strings.HasPrefix(name, `\\.\pipe\`) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}
	// Reads and writes would wait for one another without that flag.
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
