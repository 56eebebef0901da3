// Package sshconn presents a connection of this module as the types of package
// golang.org/x/crypto/ssh, for libraries that take nothing else: SFTP and SCP
// clients, agent forwarding, whatever asks for a [*ssh.Client].
//
//	client := ssh.NewClient(sshconn.New(conn, transport, user))
//
// That is a whole ssh.Client: sessions, Dial, Listen, HandleChannelOpen. It may
// share its connection with the packages of this module, which get the
// channels and requests that they have handlers for, and it the others.
//
// A program of its own does better with package nacre, or packages connection
// and channel: they have contexts, deadlines and errors that say more.
//
// Three things are not as in x/crypto. An [*ssh.Request] that somebody else has
// made cannot be answered, so every request of the peer is refused at once, and
// what is handed out has WantReply false; ssh.Client would refuse it too, and
// who wants to answer gives [connection.Conn] a handler. Closing a channel that
// the peer has not closed discards what was not read. And a stream that the
// loss of the connection cuts short does not end with io.EOF.
package sshconn

import (
	"context"
	"errors"
	"io"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/transport"
)

// New returns c as an [ssh.Conn], with the channels and the global requests of
// the peer. All three are what ssh.NewClient takes. t is the transport below c
// and user the name that was logged in; they serve only to tell the ssh.Conn's
// metadata, and t is nil when c runs on something else.
//
// The ssh.Conn, which is an [ssh.AlgorithmsConnMetadata] too, owns c: Close
// closes it. Wait returns [net.ErrClosed] after a Close on this side and the
// cause otherwise, never nil. After the end requests return io.EOF.
//
// Both Go channels are closed at the end of the connection. Nothing waits for
// their reader: up to 256 channels of the peer are held until somebody accepts
// or rejects them, and further ones refused; requests, of the connection and
// of each channel, are dropped while 16 wait to be received. What tells how a
// command ended is kept, and comes before the Go channel of its requests is
// closed.
func New(c *connection.Conn, t *transport.Conn, user string) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request) {
	b := &conn{
		metadata: metadata{transport: t, user: user},
		conn:     c,
		opens:    make(chan ssh.NewChannel),
	}
	channels, requests := make(chan ssh.NewChannel), newRequestQueue()
	c.HandleOpen("", b.handleOpen)
	c.HandleRequest("", requests.handle)
	go b.forward(channels, requests)
	return b, channels, requests.out
}

// conn is the ssh.Conn of a connection.
type conn struct {
	metadata
	conn  *connection.Conn
	opens chan ssh.NewChannel // from handleOpen to forward; never closed
}

var _ ssh.AlgorithmsConnMetadata = (*conn)(nil)

// forward hands out the channels of the peer and lives as long as the
// connection. It is between their handlers and the reader because only a
// single sender can close what the reader ranges over.
func (c *conn) forward(channels chan<- ssh.NewChannel, requests *requestQueue) {
	defer close(channels)
	defer requests.close()
	for {
		select {
		case o := <-c.opens:
			select {
			case channels <- o:
			case <-c.conn.Done():
				return
			}
		case <-c.conn.Done():
			return
		}
	}
}

// handleOpen is the connection.OpenFunc of all channels. It returns when the
// channel has been accepted or rejected: the connection would refuse it
// otherwise.
func (c *conn) handleOpen(ctx context.Context, o *connection.Open) {
	i := &incoming{open: o, decided: make(chan struct{})}
	select {
	case c.opens <- i:
	case <-ctx.Done():
		return
	}
	select {
	case <-i.decided:
	case <-ctx.Done():
	}
}

// SendRequest sends a global request.
func (c *conn) SendRequest(name string, wantReply bool, payload []byte) (bool, []byte, error) {
	ctx := context.Background() // the end of the connection ends both waits
	p, err := c.conn.SendRequest(ctx, name, wantReply, payload)
	if err != nil {
		return false, nil, endOfFile(err)
	}
	reply, err := p.Wait(ctx)
	ok, err := granted(wantReply, err)
	return ok, reply, err
}

// OpenChannel opens a channel. A refusal is an *ssh.OpenChannelError.
func (c *conn) OpenChannel(name string, data []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	requests := newRequestQueue()
	ch, err := c.conn.OpenChannel(context.Background(), name, data, requests.handle)
	if err != nil {
		if refused, ok := errors.AsType[*connection.OpenError](err); ok {
			err = &ssh.OpenChannelError{Reason: ssh.RejectionReason(refused.Reason), Message: refused.Message}
		}
		return nil, nil, err
	}
	return newChannel(ch, requests), requests.out, nil
}

// Wait blocks until the connection has ended.
func (c *conn) Wait() error {
	if err := c.conn.Wait(); err != nil {
		return err
	}
	return net.ErrClosed
}

// Close closes the connection.
func (c *conn) Close() error { return c.conn.Close() }

// granted turns what a request got into the two values that ssh.Conn and
// ssh.Channel return: there a refusal is no error.
func granted(wantReply bool, err error) (bool, error) {
	if _, refused := errors.AsType[*connection.RequestError](err); refused {
		return false, nil
	}
	return wantReply && err == nil, endOfFile(err)
}

// endOfFile makes the end of a channel or connection the error that x/crypto
// has for it, and that its callers compare with ==. The cause is known to Wait.
func endOfFile(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return io.EOF
	}
	return err
}
