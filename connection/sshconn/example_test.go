package sshconn_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/sshconn"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// A library that wants an *ssh.Client gets a client on this module's layers. With the Client of
// package nacre, the call is:
//
//	ssh.NewClient(sshconn.New(client.Conn(), client.Transport(), user))
func Example() {
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	nc, err := net.Dial("tcp", server.Addr)
	if err != nil {
		log.Fatal(err)
	}
	t := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(server.HostKey)})
	if err := t.Handshake(ctx); err != nil {
		log.Fatal(err)
	}
	auth := &userauth.Config{
		User:    server.User,
		Methods: []userauth.Method{userauth.PublicKeys(server.Signer)},
	}
	if err := userauth.Authenticate(ctx, t, auth); err != nil {
		log.Fatal(err)
	}

	client := ssh.NewClient(sshconn.New(connection.New(t, nil), t, server.User))
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	out, err := session.Output("echo hello")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// hello
	// <nil>
}
