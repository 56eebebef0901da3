package sshtest

import (
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A conn is a client's connection to a server in the process.
type conn struct {
	options *Options
	ssh     *ssh.ServerConn
	tasks   sync.WaitGroup // all goroutines of the connection
	gone    chan struct{}  // closed at the end of the connection

	mu       sync.Mutex
	forwards map[string]net.Listener // by the client's name; nil after the end of the connection
}

// serveConn serves nc until the client or the server ends the connection.
// serveConn waits for all its goroutines, so that a closed server leaves
// nothing behind.
func serveConn(s *Server, o *Options, config *ssh.ServerConfig, nc net.Conn) {
	defer nc.Close()
	sc, channels, requests, err := ssh.NewServerConn(nc, config)
	if err != nil {
		fmt.Fprintf(&s.log, "handshake: %v\n", err)
		return
	}
	c := &conn{
		options:  o,
		ssh:      sc,
		gone:     make(chan struct{}),
		forwards: make(map[string]net.Listener),
	}
	c.tasks.Go(func() { c.globalRequests(requests) })
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			c.tasks.Go(func() { c.session(nc) })
		case "direct-tcpip":
			c.tasks.Go(func() { c.directTCPIP(nc) })
		case "direct-streamlocal@openssh.com":
			c.tasks.Go(func() { c.directStreamlocal(nc) })
		default:
			nc.Reject(ssh.UnknownChannelType, "no handler for this type")
		}
	}
	fmt.Fprintf(&s.log, "connection: %v\n", sc.Wait())
	close(c.gone)
	c.closeForwards()
	c.tasks.Wait()
}
