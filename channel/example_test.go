package channel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// connect returns a connection to a server of the example, and a function to end both.
func connect(ctx context.Context) (*connection.Conn, func()) {
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := nacre.Dial(ctx, server.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(server.HostKey),
		Auth:    []userauth.Method{userauth.PublicKeys(server.Signer)},
	})
	if err != nil {
		log.Fatal(err)
	}
	return client.Conn(), func() {
		client.Close()
		server.Close()
	}
}

// A command with its input, output and exit status.
func ExampleNewSession() {
	ctx := context.Background()
	conn, end := connect(ctx)
	defer end()

	session, err := channel.NewSession(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	session.Stderr().Close() // unwanted, so it must not fill the window
	if err := session.Start(ctx, "wc -c"); err != nil {
		log.Fatal(err)
	}
	io.WriteString(session, "how long is this?")
	session.CloseWrite()
	out, err := io.ReadAll(session)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out)
	fmt.Println(session.Wait(ctx))
	// Output:
	// 17
	// <nil>
}

// Wait tells how a command ended, and whether it ended at all.
func ExampleSession_Wait() {
	ctx := context.Background()
	conn, end := connect(ctx)
	defer end()

	session, err := channel.NewSession(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	session.CloseRead()
	session.Stderr().Close()
	if err := session.Start(ctx, "exit 3"); err != nil {
		log.Fatal(err)
	}
	err = session.Wait(ctx)
	var exit *channel.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Println("status", exit.Status)
	case errors.Is(err, channel.ErrNoExitStatus):
		fmt.Println("nobody knows")
	}
	// Output: status 3
}

// Dial makes a connection from the server to a place that only the server can reach.
func ExampleDial() {
	ctx := context.Background()
	conn, end := connect(ctx)
	defer end()
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if c, err := inside.Accept(); err == nil {
			io.WriteString(c, "hello from inside")
			c.Close()
		}
	}()

	tunnel, err := channel.Dial(ctx, conn, "tcp", inside.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer tunnel.Close()
	greeting, err := io.ReadAll(tunnel)
	fmt.Println(string(greeting), err)
	// Output: hello from inside <nil>
}

// A port of the server whose connections come to us.
func ExampleListen() {
	ctx := context.Background()
	conn, end := connect(ctx)
	defer end()

	l, err := channel.Listen(ctx, conn, "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "hello from far away")
			c.Close()
		}
	}()

	visitor, err := net.Dial("tcp", l.Addr().String()) // on the server
	if err != nil {
		log.Fatal(err)
	}
	defer visitor.Close()
	greeting, err := io.ReadAll(visitor)
	fmt.Println(string(greeting), err)
	// Output: hello from far away <nil>
}
