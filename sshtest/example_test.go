package sshtest_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// A server for a program. In a test, NewServer is a single line
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

// A server with a command of its own, a greeting.
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

// A test against three servers.
func ExampleServer() {
	var t *testing.T // the running test
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

// A server talks out of turn, and the client disconnects.
func ExampleScripted() {
	var t *testing.T // the running test
	s := sshtest.Scripted(t, func(p *wire.Peer) {
		p.Before(20, wire.UserauthSuccessMsg{})
		p.SendVersion()
		p.SendKexInit()
		if last := p.Drain(); last == nil || last.Reason != 2 {
			t.Errorf("the client says %v", last) // p.Fatalf would end the script, too
		}
	})
	c, err := s.DialContext(t.Context(), "tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = ssh.NewClientConn(c, s.Addr, &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(s.HostKey)})
	if err == nil {
		t.Error("logged in")
	}
}

// A cable is cut after a hundred bytes of the server's: nothing comes any
// more, and nothing ends. So the client needs a deadline.
func ExampleFaults_Conn() {
	s, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		log.Fatal(err)
	}
	cut := sshtest.Faults{In: sshtest.Fault{Kind: sshtest.Stall, After: 100}}.Conn(c)
	defer cut.Close()

	cut.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _, _, err = ssh.NewClientConn(cut, s.Addr, &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output:
	// true
}
