package sshtest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// try has x/crypto's client log in to a server, over what over makes of the
// connection.
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
func greet(p *sshtest.Peer) {
	id, command := p.AcceptCommand()
	for _, m := range []any{
		sshtest.ChannelDataMsg{Recipient: id, Data: []byte(command)},
		sshtest.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)},
		sshtest.ChannelCloseMsg{Recipient: id},
	} {
		p.Exchange()
		p.Send(m)
	}
	p.Drain()
}

func TestScriptedServerIsHonestWhereNotToldOtherwise(t *testing.T) {
	ed25519, rsa := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoRSA)
	extension := ssh.Marshal(struct{ Name, Value string }{"server-sig-algs", ssh.KeyAlgoED25519})
	for name, lie := range map[string]func(p *sshtest.Peer){
		"not told":       func(p *sshtest.Peer) {},
		"no strict kex":  func(p *sshtest.Peer) { p.Lax = true },
		"lines before":   func(p *sshtest.Peer) { p.Version = "hello\r\nyou\r\nSSH-2.0-x\r\n" },
		"other host key": func(p *sshtest.Peer) { p.HostKey, p.SignatureAlgorithm = rsa, ssh.KeyAlgoRSASHA512 },
		"EXT_INFO":       func(p *sshtest.Peer) { p.After(21, sshtest.ExtInfoMsg{Count: 1, Pairs: extension}) },
	} {
		for where, inMemory := range map[string]bool{"TCP": false, "memory": true} {
			t.Run(name+", "+where, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{
					HostKeys: []ssh.Signer{ed25519, rsa},
					InMemory: inMemory,
					Script: func(p *sshtest.Peer) {
						lie(p)
						p.Login()
						p.After(21)
						greet(p)
						if p.Exchanges != 4 {
							p.Fatalf("%d exchanges", p.Exchanges)
						}
					},
				})
				out, err := output(t, s, nil)
				require.NoError(t, err)
				require.Equal(t, "greet", out)
			})
		}
	}
}
