package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

func ExampleClient() {
	server, err := sshtest.StartServer(&sshtest.Options{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	ctx := context.Background()
	nc, err := server.DialContext(ctx, "tcp", server.Addr)
	if err != nil {
		log.Fatal(err)
	}

	c := transport.Client(nc, &transport.Config{
		HostKey: transport.FixedHostKey(server.HostKey),
		Addr:    server.Addr,
	})
	defer c.Close()
	if err := c.Handshake(ctx); err != nil {
		log.Fatal(err)
	}
	state := c.State()
	fmt.Println(state.ServerVersion)
	fmt.Println(state.KeyExchange, state.HostKeyAlgorithm, state.ClientCipher)
	// Output:
	// SSH-2.0-sshtest
	// mlkem768x25519-sha256 ssh-ed25519 aes256-gcm@openssh.com
}

func ExampleHostKeyFunc() {
	server, err := sshtest.StartServer(&sshtest.Options{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	ctx := context.Background()
	nc, err := server.DialContext(ctx, "tcp", server.Addr)
	if err != nil {
		log.Fatal(err)
	}

	errUnknown := errors.New("nobody vouches for it")
	c := transport.Client(nc, &transport.Config{
		Addr: "pearl.example.com:22",
		HostKey: transport.HostKeyFunc(func(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
			fmt.Println(addr, "shows a key of type", key.Type())
			return errUnknown
		}),
	})
	err = c.Handshake(ctx)
	var refused *transport.HostKeyError
	fmt.Println(errors.As(err, &refused), errors.Is(err, errUnknown))
	// Output:
	// pearl.example.com:22 shows a key of type ssh-ed25519
	// true true
}
