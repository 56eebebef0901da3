package wire_test

import (
	"fmt"
	"log"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// A server keeps the end of a command secret. In a test, Scripted does the
// same in memory, and fails the test when the client does something else than
// the script expects.
func ExamplePeer() {
	s, err := sshtest.StartServer(&sshtest.Options{Script: func(p *wire.Peer) {
		p.Login()
		id, _ := p.AcceptCommand()
		p.Send(wire.ChannelDataMsg{Recipient: id, Data: []byte("done?")})
		p.Send(wire.ChannelCloseMsg{Recipient: id}) // and no exit-status
		p.Drain()
	}})
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
	out, err := session.Output("rm -r *")
	fmt.Printf("%s %v\n", out, err)
	// Output:
	// done? wait: remote command exited without exit status or exit signal
}
