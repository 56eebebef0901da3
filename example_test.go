package nacre_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// connect starts a server for an example, and returns a client of the server and
// a function to end both.
func connect(ctx context.Context) (*nacre.Client, func()) {
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
	return client, func() {
		client.Close()
		server.Close()
	}
}

// Command runs a command on a server in as few round trips as possible. With
// KeepClient, a second command can use the same connection.
func ExampleCommand() {
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := &nacre.Config{ // serves all connections, and remembers servers
		HostKey: transport.FixedHostKey(server.HostKey),
		Auth:    []userauth.Method{userauth.PublicKeys(server.Signer)},
	}
	ctx := context.Background()

	cmd := nacre.Command(ctx, server.Target, config, "wc -c")
	cmd.Stdin, cmd.KeepClient = strings.NewReader("how long is this?"), true
	out, err := cmd.Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(out))
	client := cmd.Client
	defer client.Close()
	out, err = client.Command(ctx, "echo that long").Output()
	fmt.Print(string(out), err)
	// Output:
	// 17
	// that long
	// <nil>
}

// A command has the streams and the status of a command of os/exec.
func ExampleClient_Command() {
	ctx := context.Background()
	client, end := connect(ctx)
	defer end()

	cmd := client.Command(ctx, "wc -c")
	var out strings.Builder
	cmd.Stdin, cmd.Stdout = strings.NewReader("how long is this?"), &out
	fmt.Println(cmd.Run(), out.String())
	fmt.Println(client.Command(ctx, "exit 3").Run())
	// Output:
	// <nil> 17
	//
	// command exited with status 3
}

// A pipe lets a program talk to a command while the command runs.
func ExampleCmd_StdinPipe() {
	ctx := context.Background()
	client, end := connect(ctx)
	defer end()

	cmd := client.Command(ctx, "cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 5)
	for _, question := range []string{"Hello", "World"} {
		io.WriteString(stdin, question)
		io.ReadFull(stdout, answer)
		fmt.Printf("%s\n", answer)
	}
	stdin.Close()
	fmt.Println(cmd.Wait())
	// Output:
	// Hello
	// World
	// <nil>
}

// DialContext carries HTTP to a service that only the server can reach.
func ExampleClient_DialContext() {
	client, end := connect(context.Background())
	defer end()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "inside of %s", r.URL.Path)
	}))
	defer service.Close()

	transport := &http.Transport{DialContext: client.DialContext}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(service.URL + "/shell")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%s %v\n", body, err)
	// Output: inside of /shell <nil>
}

// Listen opens a port on the server. Connections to the port arrive at the client.
func ExampleClient_Listen() {
	ctx := context.Background()
	client, end := connect(ctx)
	defer end()

	l, err := client.Listen(ctx, "tcp", "127.0.0.1:0")
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
