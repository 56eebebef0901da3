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

// connect returns a client of a server that is there for the example, and what
// ends both.
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

// One command on a server, in as few round trips as it takes, and a second one
// on the connection that is there now.
func ExampleCommand() {
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := &nacre.Config{ // one for all connections: it remembers servers
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

// Streams and status, in the words of os/exec.
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

// A command that is talked to while it runs.
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

// HTTP to a service that only the server can reach.
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

// A port on the server whose connections come here.
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
