// Cat runs the command "cat" on a server, sends it a line, and prints what
// comes back. It goes through the layers one by one, and so is a tour of them;
// with nacre.Dial it would be three lines.
//
//	go run ./examples/cat
//	go run ./examples/cat [-i keyfile] [-known-hosts file] [-fingerprint SHA256:…] user@host[:port]
//
// Without a target it starts a server of its own on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

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

// run finds out where to connect to: to the target, or to a server of our own.
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
	user, addr, err := login.SplitTarget(set.Arg(0))
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
	// Below everything: bytes, from wherever one likes.
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

	// RFC 4252: who we are. It borrows the transport's packets until it is done.
	if err := userauth.Authenticate(ctx, t, &userauth.Config{User: user, Methods: methods}); err != nil {
		return err
	}

	// RFC 4254: channels. From here on the packets are the connection's.
	conn := connection.New(t, nil)
	defer conn.Close()
	// Streams know deadlines and no contexts: close what they run on.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	// RFC 4254 section 6: one of these channels is a session that runs cat.
	session, err := channel.NewSession(ctx, conn)
	if err != nil {
		return err
	}
	if err := session.Stderr().Close(); err != nil { // not wanted: it holds no window
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
