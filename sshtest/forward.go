package sshtest

import (
	"io"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// The payloads of RFC 4254 section 7 and OpenSSH PROTOCOL section 2.4.
type (
	tcpipMsg struct { // direct-tcpip and forwarded-tcpip
		Addr       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}
	tcpipForwardMsg struct { // and cancel-tcpip-forward
		Addr string
		Port uint32
	}
	tcpipForwardReplyMsg struct {
		Port uint32
	}
	directStreamlocalMsg struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	streamlocalForwardMsg struct { // and cancel-streamlocal-forward@openssh.com
		Path string
	}
	forwardedStreamlocalMsg struct {
		Path     string
		Reserved string
	}
)

// maxForwards bounds the listeners of one connection.
const maxForwards = 64

// directTCPIP serves a direct-tcpip channel (RFC 4254 section 7.2), to
// loopback addresses only.
func (c *conn) directTCPIP(nc ssh.NewChannel) {
	var msg tcpipMsg
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	ip := loopback(msg.Addr)
	if ip == "" {
		nc.Reject(ssh.Prohibited, "not a loopback address")
		return
	}
	c.direct(nc, "tcp", net.JoinHostPort(ip, strconv.FormatUint(uint64(msg.Port), 10)))
}

// directStreamlocal serves a channel to a Unix socket (OpenSSH PROTOCOL
// section 2.4).
func (c *conn) directStreamlocal(nc ssh.NewChannel) {
	var msg directStreamlocalMsg
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	c.direct(nc, "unix", msg.Path)
}

// loopback returns the loopback address of a host, and nothing for a host
// elsewhere: a test server must not lead out of the machine.
func loopback(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return host
	}
	return ""
}

// direct connects a client's channel to an address.
func (c *conn) direct(nc ssh.NewChannel, network, addr string) {
	far, err := net.Dial(network, addr)
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := nc.Accept()
	if err != nil {
		far.Close()
		return
	}
	c.splice(channel, requests, far)
}

// globalRequests answers the client's global requests until the connection
// ends. Unknown requests are refused; for a keepalive, a refusal is an answer
// too.
func (c *conn) globalRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		ok, reply := false, []byte(nil)
		switch r.Type {
		case "tcpip-forward":
			ok, reply = c.tcpipForward(r.Payload)
		case "cancel-tcpip-forward":
			var msg tcpipForwardMsg
			ok = ssh.Unmarshal(r.Payload, &msg) == nil && c.cancel(tcpipKey(msg.Addr, msg.Port))
		case "streamlocal-forward@openssh.com":
			ok = c.streamlocalForward(r.Payload)
		case "cancel-streamlocal-forward@openssh.com":
			var msg streamlocalForwardMsg
			ok = ssh.Unmarshal(r.Payload, &msg) == nil && c.cancel(msg.Path)
		}
		r.Reply(ok, reply)
	}
}

// tcpipForward listens on loopback for any requested address, and repeats the
// requested address in the channels that follow (RFC 4254 section 7.2).
func (c *conn) tcpipForward(payload []byte) (ok bool, reply []byte) {
	var msg tcpipForwardMsg
	if err := ssh.Unmarshal(payload, &msg); err != nil {
		return false, nil
	}
	ip := loopback(msg.Addr)
	if ip == "" {
		ip = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.FormatUint(uint64(msg.Port), 10)))
	if err != nil {
		return false, nil
	}
	port := uint32(l.Addr().(*net.TCPAddr).Port)
	ok = c.forward(tcpipKey(msg.Addr, port), l, "forwarded-tcpip", func(far net.Conn) []byte {
		origin := far.RemoteAddr().(*net.TCPAddr)
		return ssh.Marshal(&tcpipMsg{
			Addr:       msg.Addr,
			Port:       port,
			OriginAddr: origin.IP.String(),
			OriginPort: uint32(origin.Port),
		})
	})
	if msg.Port == 0 {
		reply = ssh.Marshal(&tcpipForwardReplyMsg{Port: port})
	}
	return ok, reply
}

// tcpipKey names a TCP forwarding, by the address that the client asked for.
func tcpipKey(addr string, port uint32) string {
	return net.JoinHostPort(addr, strconv.FormatUint(uint64(port), 10))
}

// streamlocalForward listens on a Unix socket. The path must not exist; the
// listener removes the socket when it is closed.
func (c *conn) streamlocalForward(payload []byte) bool {
	var msg streamlocalForwardMsg
	if err := ssh.Unmarshal(payload, &msg); err != nil {
		return false
	}
	l, err := net.Listen("unix", msg.Path)
	if err != nil {
		return false
	}
	return c.forward(msg.Path, l, "forwarded-streamlocal@openssh.com", func(net.Conn) []byte {
		return ssh.Marshal(&forwardedStreamlocalMsg{Path: msg.Path})
	})
}

// forward owns l until the client cancels the forwarding or the connection
// ends, and opens a channel to the client for each connection accepted by l.
// With too many forwardings, forward closes l and returns false.
func (c *conn) forward(key string, l net.Listener, typ string, extra func(net.Conn) []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forwards == nil || len(c.forwards) == maxForwards || c.forwards[key] != nil {
		l.Close()
		return false
	}
	c.forwards[key] = l
	c.tasks.Go(func() {
		for {
			far, err := l.Accept()
			if err != nil {
				return
			}
			c.tasks.Go(func() {
				channel, requests, err := c.ssh.OpenChannel(typ, extra(far))
				if err != nil {
					far.Close()
					return
				}
				c.splice(channel, requests, far)
			})
		}
	})
	return true
}

// cancel ends a forwarding. Connections accepted before go on. A name without
// a forwarding has the result false.
func (c *conn) cancel(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.forwards[key]
	if l == nil {
		return false
	}
	l.Close()
	delete(c.forwards, key)
	return true
}

// closeForwards ends every forwarding; later ones are refused.
func (c *conn) closeForwards() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.forwards {
		l.Close()
	}
	c.forwards = nil
}

// splice copies both ways, each to its own end of file, and closes both ends.
func (c *conn) splice(channel ssh.Channel, requests <-chan *ssh.Request, far net.Conn) {
	defer channel.Close()
	up := make(chan struct{})
	c.tasks.Go(func() {
		defer close(up)
		io.Copy(far, channel)
		if w, ok := far.(interface{ CloseWrite() error }); ok {
			w.CloseWrite()
		}
	})
	// Requests end when the client has closed the channel. Data of the client
	// still goes to the far end. Data from the far end has no reader any more,
	// so a far end that never stops, or never begins, must not hold the task.
	c.tasks.Go(func() {
		defer far.Close()
		ssh.DiscardRequests(requests)
		select {
		case <-up:
		case <-c.gone:
		}
	})
	io.Copy(channel, far)
	channel.CloseWrite()
	<-up
}
