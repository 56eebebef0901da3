package wire_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// Whatever the script waits for, a client with an exchange every few bytes
// gets its answers.
func TestScriptedServerAnswersAnExchangeOfTheClient(t *testing.T) {
	s := sshtest.Scripted(t, func(p *wire.Peer) {
		p.Login()
		for p.Exchanges < 3 {
			id := p.AcceptChannel().Sender
			p.Send(wire.ChannelDataMsg{Recipient: id, Data: make([]byte, 1000)})
			wire.Expect[wire.ChannelCloseMsg](p)
			p.Send(wire.ChannelCloseMsg{Recipient: id})
		}
	})
	c, err := s.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	conn, channels, requests, err := ssh.NewClientConn(c, s.Addr, &ssh.ClientConfig{
		Config:          ssh.Config{RekeyThreshold: 256},
		Auth:            []ssh.AuthMethod{ssh.Password("")},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	require.NoError(t, err)
	client := ssh.NewClient(conn, channels, requests)
	defer client.Close()
	for {
		ch, _, err := client.OpenChannel("x", nil)
		if err != nil {
			break // the server has seen enough
		}
		_, err = io.ReadFull(ch, make([]byte, 1000))
		require.NoError(t, err)
		_ = ch.Close()
	}
	require.ErrorIs(t, client.Wait(), io.EOF)
}
