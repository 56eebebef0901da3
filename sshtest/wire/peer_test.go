package wire_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// try has x/crypto's client log in to a server, over a connection that over
// may wrap.
func try(t *testing.T, s *sshtest.Server, over func(net.Conn) net.Conn) (*ssh.Client, error) {
	t.Helper()
	c, err := s.DialContext(t.Context(), "tcp", s.Addr)
	require.NoError(t, err)
	if over != nil {
		c = over(c)
	}
	conn, channels, requests, err := ssh.NewClientConn(c, s.Addr, &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback: anyOf(s.HostKeys),
	})
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(conn, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client, nil
}

func anyOf(keys []ssh.PublicKey) ssh.HostKeyCallback {
	return func(hostname string, remote net.Addr, key ssh.PublicKey) (err error) {
		for _, k := range keys {
			if err = ssh.FixedHostKey(k)(hostname, remote, key); err == nil {
				return nil
			}
		}
		return err
	}
}

// output runs a command on a server.
func output(t *testing.T, s *sshtest.Server, over func(net.Conn) net.Conn) (string, error) {
	t.Helper()
	client, err := try(t, s, over)
	if err != nil {
		return "", err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.Output("greet")
	return string(out), err
}

// greet is an honest command, with an exchange of keys before each packet.
func greet(p *wire.Peer) {
	id, command := p.AcceptCommand()
	for _, m := range []any{
		wire.ChannelDataMsg{Recipient: id, Data: []byte(command)},
		wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)},
		wire.ChannelCloseMsg{Recipient: id},
	} {
		p.Exchange()
		p.Send(m)
	}
	p.Drain()
}

// failures is a test that keeps its failures.
type failures struct {
	testing.TB
	mu   sync.Mutex
	text string
}

func (f *failures) Helper() {}

func (f *failures) Failed() bool { return false }

func (f *failures) Cleanup(func()) {}

func (f *failures) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += fmt.Sprintf(format, args...)
}
