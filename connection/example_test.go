package connection_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/nacre-ssh/nacre/connection"
)

// packets is a tiny Transport: a Go channel for each direction, and the end.
type packets struct {
	in, out chan []byte
	closed  chan struct{}
	end     func()
}

// pair returns two ends of such a transport.
func pair() (a, b packets) {
	ab, ba, closed := make(chan []byte), make(chan []byte), make(chan struct{})
	end := sync.OnceFunc(func() { close(closed) })
	return packets{ba, ab, closed, end}, packets{ab, ba, closed, end}
}

func (p packets) ReadPacket() ([]byte, error) {
	select {
	case packet := <-p.in:
		return packet, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p packets) WritePacket(packet []byte) error {
	select {
	case p.out <- append([]byte(nil), packet...):
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}

func (p packets) Close() error {
	p.end()
	return nil
}

// Two connections face each other, as a client and a server do. One of them
// opens a channel of a type that no RFC knows.
func Example() {
	a, b := pair()
	client, server := connection.New(a, nil), connection.New(b, nil)
	defer server.Close()
	defer client.Close()

	server.HandleOpen("greeting@example.com", func(_ context.Context, o *connection.Open) {
		ch, err := o.Accept(nil)
		if err != nil {
			return
		}
		defer ch.Close()
		fmt.Fprintf(ch, "Hello, %s!", o.ExtraData())
	})

	ctx := context.Background()
	ch, err := client.OpenChannel(ctx, "greeting@example.com", []byte("world"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	greeting, err := io.ReadAll(ch)
	fmt.Printf("%s %v\n", greeting, err)

	_, err = client.OpenChannel(ctx, "session", nil, nil)
	fmt.Println(err)
	// Output:
	// Hello, world! <nil>
	// connection: channel open refused: unknown channel type: "no handler for this type"
}

func ExampleConn_HandleRequest() {
	a, b := pair()
	client, server := connection.New(a, nil), connection.New(b, nil)
	defer server.Close()
	defer client.Close()

	server.HandleRequest("version@example.com", func(_ context.Context, r *connection.Request) ([]byte, bool) {
		return []byte("1.0"), true
	})
	version, err := client.Request(context.Background(), "version@example.com", nil)
	fmt.Printf("%s %v\n", version, err)
	// Output: 1.0 <nil>
}

// tracing is a decorator. In a program it embeds a *transport.Conn.
type tracing struct{ packets }

func (t tracing) ReadPacket() ([]byte, error) {
	packet, err := t.packets.ReadPacket()
	if err == nil {
		fmt.Println("received message", packet[0])
	}
	return packet, err
}

func (t tracing) WritePacket(packet []byte) error {
	fmt.Println("sent message", packet[0])
	return t.packets.WritePacket(packet)
}

// A decorator of the transport sees every packet of a connection.
func ExampleTransport() {
	a, b := pair()
	server := connection.New(b, &connection.Config{HandleRequest: map[string]connection.RequestFunc{
		"version@example.com": func(context.Context, *connection.Request) ([]byte, bool) { return []byte("1.0"), true },
	}})
	defer server.Close()
	client := connection.New(tracing{a}, nil)
	defer client.Close()

	version, err := client.Request(context.Background(), "version@example.com", nil)
	fmt.Printf("%s %v\n", version, err)
	// Output:
	// sent message 80
	// received message 81
	// 1.0 <nil>
}
