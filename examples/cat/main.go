// Cat runs the command "cat" on a server, sends a line, and prints the echo. The
// program is a tour of the layers, from the lowest to the highest; with nacre.Dial
// the tour would be three lines.
//
//	go run ./examples/cat
//	go run ./examples/cat [-i keyfile] [-known-hosts file] [-fingerprint SHA256:…] user@host[:port]
//
// Without a target, Cat starts a server of its own on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/examples/internal/login"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

const data = "This data will be echoed back to us by \"cat.\"\r\n"

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cat:", login.OneLine(err))
		os.Exit(255)
	}
}

// run chooses the server: the target's, or a server of our own.
func run(args []string) error {
	var flags login.Flags
	set := flag.NewFlagSet("cat", flag.ContinueOnError)
	if err := flags.Parse(set, "[flags] [user@host[:port]]", args); err != nil {
		return err
	}
	if set.NArg() > 1 {
		return fmt.Errorf("one target, not %d", set.NArg())
	}
	if set.NArg() == 0 {
		ctx, stop := login.Interruptible()
		defer stop()
		server, err := sshtest.StartServer(nil)
		if err != nil {
			return err
		}
		defer server.Close()
		hostKey := transport.FixedHostKey(server.HostKey)
		return cat(ctx, server.User, server.Addr, hostKey, userauth.PublicKeys(server.Signer))
	}
	user, addr, err := nacre.SplitTarget(set.Arg(0))
	if err != nil {
		return err
	}
	hostKey, err := flags.HostKey()
	if err != nil {
		return err
	}
	ctx, stop := login.Interruptible()
	defer stop()
	methods, err := flags.Auth(ctx)
	if err != nil {
		return err
	}
	return cat(ctx, user, addr, hostKey, methods...)
}

// cat is the tour.
func cat(ctx context.Context, user, addr string, hostKey transport.HostKeyVerifier, methods ...userauth.Method) error {
	// Below everything: bytes, by any net.Conn.
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}

	// RFC 4253: versions, keys, and the host key, which the verifier judges.
	t := transport.Client(nc, &transport.Config{HostKey: hostKey, Addr: addr})
	defer t.Close()
	if err := t.Handshake(ctx); err != nil {
		return err
	}

	// RFC 4252: who we are. Authenticate borrows the transport's packets.
	if err := userauth.Authenticate(ctx, t, &userauth.Config{User: user, Methods: methods}); err != nil {
		return err
	}

	// RFC 4254: channels. From here on the packets are the connection's.
	conn := connection.New(t, nil)
	defer conn.Close()
	// Streams know deadlines and no contexts: the end of ctx closes the connection.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	// RFC 4254 section 6: a session is a channel, and runs cat.
	session, err := channel.NewSession(ctx, conn)
	if err != nil {
		return err
	}
	if err := session.Stderr().Close(); err != nil { // no reader, no window
		return err
	}
	if err := session.Start(ctx, "cat"); err != nil {
		return err
	}
	if _, err := io.WriteString(session, data); err != nil {
		return err
	}
	if err := session.CloseWrite(); err != nil { // half close: cat sees the end of its input
		return err
	}
	echo, err := io.ReadAll(session)
	if err != nil {
		return err
	}
	fmt.Printf("We got this from \"cat\": %s", echo)
	return session.Wait(ctx)
}
