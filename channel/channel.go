// Package channel has the kinds of channel that SSH is used for, on top of
// package connection: sessions that run commands, shells and subsystems (RFC
// 4254 section 6), and forwarded TCP ports and Unix sockets (RFC 4254 section
// 7, OpenSSH PROTOCOL section 2.4) as [net.Conn] and [net.Listener].
//
// It uses nothing of connection that is not exported, so a channel type of
// one's own is written in the same way, beside it.
//
// Programs that want os/exec's words use Cmd of the nacre package; this one is
// for those who hold a [connection.Conn], or who need a request more than Cmd
// makes.
package channel

import (
	"fmt"
	"io"

	"github.com/nacre-ssh/nacre/connection"
)

// A refusal of the server is wrapped with what was asked for, so that
// errors.As finds the *connection.OpenError or *connection.RequestError.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("channel: %s: %w", what, err)
}

// The streams of all kinds are those of connection.Channel.
var _ interface {
	io.ReadWriteCloser
	io.WriterTo
	io.ReaderFrom
	CloseWrite() error
} = (*connection.Channel)(nil)
