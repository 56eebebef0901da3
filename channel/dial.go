package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// These are the names of the channel types and requests of forwarding: RFC 4254 section 7 and
// OpenSSH PROTOCOL section 2.4.
const (
	directTCPIP       = "direct-tcpip"
	directUnix        = "direct-streamlocal@openssh.com"
	forwardedTCPIP    = "forwarded-tcpip"
	forwardedUnix     = "forwarded-streamlocal@openssh.com"
	forwardTCPIP      = "tcpip-forward"
	forwardUnix       = "streamlocal-forward@openssh.com"
	cancelForward     = "cancel-tcpip-forward"
	cancelForwardUnix = "cancel-streamlocal-forward@openssh.com"
)

// tcpipMsg is the extra data of both TCP channel types, RFC 4254 section 7.2.
type tcpipMsg struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// Dial has the server connect to an address and returns the connection. The network is "tcp",
// "tcp4" or "tcp6" with a "host:port", which the server resolves, or "unix" with a path on the
// server.
//
// A refusal is a [*connection.OpenError]. When ctx ends, its errors are returned; once Dial has
// returned, ctx has no effect. The connection has deadlines and CloseWrite, and its RemoteAddr
// is the address that was dialled.
func Dial(ctx context.Context, c *connection.Conn, network, addr string) (net.Conn, error) {
	what := fmt.Sprintf("dial %s %q", network, addr)
	if network == "unix" {
		// The two fields behind the path are reserved.
		extra := ssh.Marshal(struct {
			Path     string
			Reserved string
			Zero     uint32
		}{Path: addr})
		return dial(ctx, c, what, directUnix, extra, unixAddr(""), unixAddr(addr))
	}
	host, port, err := splitTCP(network, addr)
	if err != nil {
		return nil, wrap(what, err)
	}
	if port == 0 {
		return nil, wrap(what, errors.New("port 0 cannot be dialled"))
	}
	// The originator is this process, whose address would mean nothing to the server.
	origin := tcpAddr("127.0.0.1", 0)
	extra := ssh.Marshal(tcpipMsg{Host: host, Port: port, OriginHost: "127.0.0.1"})
	return dial(ctx, c, what, directTCPIP, extra, origin, tcpAddr(host, port))
}

func dial(ctx context.Context, c *connection.Conn, what, typ string, extra []byte, local, remote net.Addr) (net.Conn, error) {
	ch, err := c.OpenChannel(ctx, typ, extra, nil)
	if err != nil {
		return nil, wrap(what, err)
	}
	return newConn(ch, local, remote), nil
}

// conn makes a channel a net.Conn.
type conn struct {
	*connection.Channel
	local, remote net.Addr
}

// newConn closes the channel's second stream: forwarded connections have none, and data that a
// server sends there anyway would hold window.
func newConn(ch *connection.Channel, local, remote net.Addr) *conn {
	ch.Stderr().Close()
	return &conn{Channel: ch, local: local, remote: remote}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// splitTCP checks network and address.
func splitTCP(network, addr string) (host string, port uint32, err error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return "", 0, net.UnknownNetworkError(network)
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		// Service names are resolved by whoever knows them: nobody here.
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", p)
	}
	return host, uint32(n), nil
}

// nameAddr is the address of a host that only the server can resolve.
type nameAddr string

func (a nameAddr) Network() string { return "tcp" }
func (a nameAddr) String() string  { return string(a) }

// tcpAddr is a *net.TCPAddr wherever the host is an IP address.
func tcpAddr(host string, port uint32) net.Addr {
	if ip := net.ParseIP(host); ip != nil {
		return &net.TCPAddr{IP: ip, Port: int(port)}
	}
	return nameAddr(net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)))
}

func unixAddr(path string) net.Addr { return &net.UnixAddr{Name: path, Net: "unix"} }
