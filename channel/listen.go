package channel

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// cancelGrace is how long Close tries to queue its message when the peer is
// not reading.
const cancelGrace = 50 * time.Millisecond

// backlog bounds the connections that wait for Accept; more are refused.
const backlog = 128

// forwardMsg asks for a forwarding, or ends a forwarding: RFC 4254 section 7.1.
type forwardMsg struct {
	Host string
	Port uint32
}

// Listen has the server listen on an address and returns the listener. The network is "tcp",
// "tcp4" or "tcp6" with a "host:port", or "unix" with a path on the server. Port 0 lets the
// server choose, and Addr tells the choice. An empty host means all addresses, if the server
// allows that, and "localhost" only the loopback addresses.
//
// A refusal is a [*connection.RequestError]. When ctx ends, its errors are returned, and the
// forwarding is cancelled should the server still grant it; once Listen has returned, ctx has
// no effect.
//
// Up to 128 connections wait for Accept, further connections are refused. No other channel is
// held up by waiting connections. Close does not wait for the server.
func Listen(ctx context.Context, c *connection.Conn, network, addr string) (net.Listener, error) {
	what := fmt.Sprintf("listen on %s %q", network, addr)
	l := &listener{
		c:      c,
		bound:  make(chan struct{}),
		places: make(chan struct{}, backlog),
		conns:  make(chan *conn, backlog),
		closed: make(chan struct{}),
	}
	var request, openType string
	if network == "unix" {
		l.host, l.cancel, l.unix = addr, cancelForwardUnix, true
		request, openType = forwardUnix, forwardedUnix
	} else {
		var err error
		if l.host, l.port, err = splitTCP(network, addr); err != nil {
			return nil, wrap(what, err)
		}
		l.anyPort = l.port == 0
		l.cancel, request, openType = cancelForward, forwardTCPIP, forwardedTCPIP
	}
	// The handler is there before the server can know of the forwarding.
	l.remove = c.HandleOpen(openType, l.handleOpen)
	pending, err := c.SendRequest(ctx, request, true, l.payload())
	if err == nil {
		err = l.bind(ctx, pending)
	}
	if err != nil {
		l.stop()
		return nil, wrap(what, err)
	}
	return l, nil
}

// listener is a forwarding that the server has set up for us.
type listener struct {
	c       *connection.Conn
	host    string // as requested; the path of a Unix socket
	port    uint32 // if anyPort, settled when bound is closed
	anyPort bool   // the server is to choose
	unix    bool
	cancel  string // the request to end the forwarding
	remove  func() // of the handler

	bound  chan struct{} // closed when the server has granted the forwarding
	places chan struct{} // has an element for each connection that is in conns, or on the way
	conns  chan *conn
	once   sync.Once
	closed chan struct{}

	// mu makes queueing a connection and closing the listener exclude one another, so that no
	// connection is queued after the close.
	mu sync.Mutex
}

// bind waits for the server's answer, and takes the port from the answer if the server chose
// the port. A grant after the end of ctx is cancelled: otherwise the forwarding would last as
// long as the connection.
func (l *listener) bind(ctx context.Context, pending *connection.Pending) error {
	reply, err := pending.Wait(ctx)
	if ctx.Err() != nil && err != nil {
		go func() {
			late, err := pending.Wait(context.Background()) // ended by the connection's end
			if err == nil && l.settle(late) == nil {
				l.sendCancel()
			}
		}()
		return err
	}
	if err != nil {
		return err
	}
	if err := l.settle(reply); err != nil {
		return err
	}
	close(l.bound)
	return nil
}

// settle takes the port from the reply, RFC 4254 section 7.1.
func (l *listener) settle(reply []byte) error {
	if !l.anyPort {
		return nil
	}
	var m struct{ Port uint32 }
	if err := ssh.Unmarshal(reply, &m); err != nil || m.Port == 0 || m.Port > 65535 {
		return fmt.Errorf("the server's answer names no valid port")
	}
	l.port = m.Port
	return nil
}

// payload identifies the forwarding in requests.
func (l *listener) payload() []byte {
	if l.unix {
		return ssh.Marshal(struct{ Path string }{l.host})
	}
	return ssh.Marshal(forwardMsg{l.host, l.port})
}

// sendCancel does not wait for the answer, which would change nothing.
func (l *listener) sendCancel() {
	ctx, stop := context.WithTimeout(context.Background(), cancelGrace)
	defer stop()
	_, _ = l.c.SendRequest(ctx, l.cancel, false, l.payload())
}

// handleOpen takes the connections of this listener and leaves all others to the next handler.
// handleOpen waits for the answer to Listen: the first connection may overtake the goroutine in
// Listen.
func (l *listener) handleOpen(ctx context.Context, o *connection.Open) {
	if !l.anyPort {
		if _, ok := l.match(o.ExtraData()); !ok {
			return // without waiting: an older listener may be meant
		}
	}
	select {
	case <-l.bound:
	case <-l.closed:
		return
	case <-ctx.Done():
		return
	}
	remote, ok := l.match(o.ExtraData())
	if !ok {
		return
	}
	select {
	case l.places <- struct{}{}:
	default:
		_ = o.Reject(connection.ResourceShortage, "too many connections wait to be accepted")
		return
	}
	ch, err := o.Accept(nil) // waits while the peer does not read
	if err != nil {
		<-l.places
		return
	}
	l.queue(newConn(ch, l.Addr(), remote))
}

// queue hands a connection, which has a place, to Accept.
func (l *listener) queue(conn *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		conn.Close()
	default:
		l.conns <- conn
	}
}

// match reports whether a forwarded connection is for this listener, and the connection's origin.
func (l *listener) match(extra []byte) (remote net.Addr, ok bool) {
	if l.unix {
		var m struct{ Path, Reserved string }
		err := ssh.Unmarshal(extra, &m)
		return unixAddr(""), err == nil && m.Path == l.host
	}
	var m tcpipMsg
	if ssh.Unmarshal(extra, &m) != nil || m.Port != l.port || !sameHost(m.Host, l.host) || m.OriginPort > 65535 {
		return nil, false
	}
	return tcpAddr(m.OriginHost, m.OriginPort), true
}

// sameHost compares the address that a connection came to with the address of our request. The
// server may spell the address in another way ("127.0.0.1" for "localhost"). If we asked for
// all addresses or for a name, any address may be the right one: RFC 4254 section 7.2.
func sameHost(theirs, ours string) bool {
	kind := bindKind(ours)
	if strings.EqualFold(theirs, ours) || kind != 0 && kind == bindKind(theirs) {
		return true
	}
	named := kind == 0 && net.ParseIP(ours) == nil
	return (kind == 'a' || named) && net.ParseIP(theirs) != nil
}

// bindKind sorts the addresses with several spellings, RFC 4254 section 7.1: 'a' for all
// addresses, 'l' for the loopback addresses.
func bindKind(host string) byte {
	ip := net.ParseIP(host)
	switch {
	case host == "" || host == "*" || ip.IsUnspecified():
		return 'a'
	case strings.EqualFold(host, "localhost") || ip.IsLoopback():
		return 'l'
	default:
		return 0
	}
}

// Accept waits for a connection. After Close its error is net.ErrClosed, and
// the cause too when the connection below has ended.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		<-l.places
		return conn, nil
	case <-l.closed:
	case <-l.c.Done():
		l.stop()
	}
	select {
	case <-l.c.Done():
		if err := l.c.Wait(); err != nil {
			return nil, fmt.Errorf("channel: accept: %w: %w", err, net.ErrClosed)
		}
	default:
	}
	return nil, wrap("accept", net.ErrClosed)
}

// Close ends the forwarding. Connections that wait for Accept are closed, accepted connections
// live on. Further calls return nil.
func (l *listener) Close() error {
	if l.stop() {
		l.sendCancel()
	}
	return nil
}

// stop ends this side of the forwarding, and returns true for the first call.
func (l *listener) stop() (first bool) {
	l.once.Do(func() {
		first = true
		if l.remove != nil {
			l.remove()
		}
		l.mu.Lock()
		close(l.closed)
		l.mu.Unlock()
		for len(l.conns) > 0 {
			select {
			case conn := <-l.conns:
				conn.Close()
			default:
			}
		}
	})
	return first
}

// Addr returns the address that the server listens on, as far as the server has told.
func (l *listener) Addr() net.Addr {
	if l.unix {
		return unixAddr(l.host)
	}
	return tcpAddr(l.host, l.port)
}
