package sshtest_test

import (
	"fmt"
	"log"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// A server for a program that is not a test. In a test, NewServer is one line
// and needs no Close.
func ExampleStartServer() {
	s, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	client, err := ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	if err != nil {
		log.Fatal(err)
	}
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

// A server with a command of its own, which greets whoever is logged in.
func ExampleHandlerFunc() {
	greet := func(x *sshtest.Session) int {
		fmt.Fprintf(x.Stdout, "Good morning, %s.\n", x.Conn.User())
		return 3
	}
	s, err := sshtest.StartServer(&sshtest.Options{
		User:     "pearl",
		Handlers: map[string]sshtest.HandlerFunc{"greet": greet},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	client, err := ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.Password(s.Password)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	out, err := session.Output("greet")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// Good morning, pearl.
	// Process exited with status 3
}

// One test against three servers.
func ExampleServer() {
	var t *testing.T // the one that is running
	for _, s := range []*sshtest.Server{
		sshtest.NewServer(t, nil),
		sshtest.OpenSSH(t, nil),
		sshtest.Dropbear(t, nil),
	} {
		client, err := ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
			User:            s.User,
			Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
			HostKeyCallback: ssh.FixedHostKey(s.HostKey),

			HostKeyAlgorithms: []string{s.HostKey.Type()},
		})
		if err != nil {
			t.Error(err)
			continue
		}
		defer client.Close()
	}
}
