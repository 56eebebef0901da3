package sshconn

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// channel is the ssh.Channel of a channel.
type channel struct {
	ch     *connection.Channel
	closed atomic.Bool // Close has been called
}

// newChannel takes over an open channel. The Go channel of the requests is closed at the end of
// the channel, after the last request.
func newChannel(ch *connection.Channel, requests *requestQueue) *channel {
	go func() {
		<-ch.Done()
		requests.close()
	}()
	return &channel{ch: ch}
}

func (c *channel) Read(p []byte) (int, error) {
	n, err := c.ch.Read(p)
	return n, c.readError(err)
}

func (c *channel) Write(p []byte) (int, error) {
	n, err := c.ch.Write(p)
	return n, endOfFile(err)
}

func (c *channel) CloseWrite() error { return endOfFile(c.ch.CloseWrite()) }

// Close closes the channel, unless both sides have done so already: received data can still be
// read then, as in x/crypto.
func (c *channel) Close() error {
	select {
	case <-c.ch.Done():
		return nil
	default:
		c.closed.Store(true)
		return c.ch.Close()
	}
}

func (c *channel) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	ctx := context.Background() // the end of the channel ends both waits
	p, err := c.ch.SendRequest(ctx, name, wantReply, payload)
	if err != nil {
		return false, endOfFile(err)
	}
	_, err = p.Wait(ctx)
	return granted(wantReply, err)
}

func (c *channel) Stderr() io.ReadWriter { return stderr{c} }

// readError ends a stream with io.EOF where x/crypto does, except after the loss of the
// connection: output that was cut short must not look whole.
func (c *channel) readError(err error) error {
	if err != nil && c.closed.Load() {
		return io.EOF
	}
	return err
}

// stderr is the second stream of a channel.
type stderr struct{ channel *channel }

func (e stderr) Read(p []byte) (int, error) {
	n, err := e.channel.ch.Stderr().Read(p)
	return n, e.channel.readError(err)
}

func (e stderr) Write(p []byte) (int, error) {
	n, err := e.channel.ch.Stderr().Write(p)
	return n, endOfFile(err)
}

// incoming is the ssh.NewChannel of a channel that the peer wants to open.
type incoming struct {
	open    *connection.Open
	once    sync.Once
	decided chan struct{} // closed when there is an answer
}

func (i *incoming) ChannelType() string { return i.open.Type() }

func (i *incoming) ExtraData() []byte { return i.open.ExtraData() }

func (i *incoming) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	defer i.once.Do(i.decide)
	requests := newRequestQueue()
	ch, err := i.open.Accept(requests.handle)
	if err != nil {
		return nil, nil, err
	}
	return newChannel(ch, requests), requests.out, nil
}

func (i *incoming) Reject(reason ssh.RejectionReason, message string) error {
	defer i.once.Do(i.decide)
	return i.open.Reject(connection.OpenReason(reason), message)
}

func (i *incoming) decide() { close(i.decided) }
