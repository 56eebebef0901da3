// Package sshconn presents a connection of this module as the types of package
// golang.org/x/crypto/ssh, for libraries that take nothing else: SFTP and SCP clients, agent
// forwarding, and all users of a [*ssh.Client].
//
//	client := ssh.NewClient(sshconn.New(conn, transport, user))
//
// The result is a whole ssh.Client: sessions, Dial, Listen, HandleChannelOpen. The packages of
// this module may share the connection: they get the channels and requests that they have
// handlers for, and the ssh.Client all others.
//
// A new program does better with package nacre, or packages connection and channel: they have
// contexts, deadlines and errors that say more.
//
// Three things differ from x/crypto. Only the maker of an [*ssh.Request] can answer the
// request, so every request of the peer is refused at once and handed out with WantReply false.
// ssh.Client would refuse the request too; to answer requests, give [connection.Conn] a
// handler. Closing a channel that the peer has not closed discards unread data. And a stream
// that the loss of the connection cuts short does not end with io.EOF.
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

// New returns c as an [ssh.Conn], with the channels and the global requests of the peer: the
// three arguments of ssh.NewClient. t is the transport below c, or nil, and user the name of
// the login; both serve only for the ssh.Conn's metadata. Opens and requests that arrive before
// New are handled by the handlers of the [connection.Config], if any.
//
// The ssh.Conn, which is an [ssh.AlgorithmsConnMetadata] too, owns c: Close closes c. Wait
// returns [net.ErrClosed] after a Close on this side and the cause otherwise, never nil. After
// the end requests return io.EOF.
//
// Both Go channels are closed at the end of the connection. Nothing waits for their reader: up
// to 256 channels of the peer are held until accepted or rejected, and further channels
// refused; requests, of the connection and of each channel, are dropped while 16 wait to be
// received. Requests that tell how a command ended are kept, and come before the Go channel of
// the requests is closed.
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

// forward hands out the channels of the peer and lives as long as the connection. Handlers send
// to forward and not to the reader, because only a single sender can close the Go channel that
// the reader ranges over.
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

// handleOpen is the connection.OpenFunc of all channels. handleOpen returns when the channel
// has been accepted or rejected: otherwise the connection would refuse the channel.
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

// granted turns the result of a request into the two values of ssh.Conn and ssh.Channel, for
// whom a refusal is no error.
func granted(wantReply bool, err error) (bool, error) {
	if _, refused := errors.AsType[*connection.RequestError](err); refused {
		return false, nil
	}
	return wantReply && err == nil, endOfFile(err)
}

// endOfFile turns the end of a channel or connection into io.EOF, as x/crypto does: callers
// compare the error with ==. Wait returns the cause.
func endOfFile(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return io.EOF
	}
	return err
}
