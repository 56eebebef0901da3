package transport_test

import (
	"context"
	"fmt"
	"log"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// tracer prints the number of each message of the layers above. Everything else is the
// Conn's, so batches keep their single write.
type tracer struct{ *transport.Conn }

func (t tracer) WritePacket(packet []byte) error {
	fmt.Println("sent", packet[0])
	return t.Conn.WritePacket(packet)
}

func (t tracer) ReadPacket() ([]byte, error) {
	packet, err := t.Conn.ReadPacket()
	if err == nil {
		fmt.Println("received", packet[0])
	}
	return packet, err
}

func Example_decorator() {
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
	c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(server.HostKey)})
	defer c.Close()
	if err := c.Handshake(ctx); err != nil {
		log.Fatal(err)
	}

	// Two requests for authentication leave with one write, and the tracer sees both.
	t := tracer{c}
	if err := t.RequestService("ssh-userauth"); err != nil {
		log.Fatal(err)
	}
	none := ssh.Marshal(struct {
		User, Service, Method string `sshtype:"50"`
	}{"nobody", "ssh-connection", "none"})
	err = t.Batch(func() error {
		for range 2 {
			if err := t.WritePacket(none); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if _, err := t.ReadPacket(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// sent 50
	// sent 50
	// received 51
	// received 51
}
