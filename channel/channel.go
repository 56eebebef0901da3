// Package channel has the common kinds of SSH channel, on top of package connection: sessions
// that run commands, shells and subsystems (RFC 4254 section 6), and forwarded TCP ports and
// Unix sockets (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4) as [net.Conn] and
// [net.Listener].
//
// Only exported names of package connection are used here: a program writes a channel type of
// its own in the same way, beside this package.
//
// Programs that want os/exec's words use Cmd of package nacre. This package is for programs
// that hold a [connection.Conn], or need requests that Cmd does not make.
package channel

import (
	"fmt"
	"io"

	"github.com/nacre-ssh/nacre/connection"
)

// wrap adds the purpose to an error. errors.As still finds the *connection.OpenError or
// *connection.RequestError of a refusal.
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
