package nacre_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// tracer logs the number of each message of the layers above the transport.
type tracer struct{ *transport.Conn }

func (t tracer) ReadPacket() ([]byte, error) {
	p, err := t.Conn.ReadPacket()
	if err == nil {
		log.Printf("<- message %d, %d bytes", p[0], len(p))
	}
	return p, err
}

func (t tracer) WritePacket(p []byte) error {
	log.Printf("-> message %d, %d bytes", p[0], len(p))
	return t.Conn.WritePacket(p)
}

// A layer between the transport and the layers above sees every packet.
func ExampleConfig_wrapTransport() {
	log.SetOutput(io.Discard) // of this example; a program has its log
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := &nacre.Config{
		HostKey: transport.FixedHostKey(server.HostKeys...),
		Auth:    []userauth.Method{userauth.PublicKeys(server.Signer)},
	}
	config.WrapTransport = func(t *transport.Conn) nacre.Transport { return tracer{t} }
	out, err := nacre.Command(context.Background(), server.Target, config, "echo hello").Output()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// hello
	// <nil>
}
