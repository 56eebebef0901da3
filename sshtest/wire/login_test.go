package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// Packets before their Receive are kept in their order.
func TestPacketsThatComeEarlyAreKept(t *testing.T) {
	early := make(chan bool)
	s := sshtest.Scripted(t, func(p *wire.Peer) {
		expect := func(name string) {
			if m := wire.Expect[wire.GlobalRequestMsg](p); m.Name != name {
				p.Fatalf("%q instead of %q", m.Name, name)
			}
		}
		p.Login()
		<-early
		p.Exchange()
		expect("first")
		_, subsystem := p.AcceptCommand()
		expect("second")
		expect("third")
		if _, shell := p.AcceptCommand(); subsystem != "sftp" || shell != "" {
			p.Fatalf("%q and %q", subsystem, shell)
		}
	})
	client, err := try(t, s, nil)
	require.NoError(t, err)
	announce := func(name string) {
		_, _, err := client.SendRequest(name, false, nil)
		require.NoError(t, err)
	}
	announce("first")
	close(early)
	session, err := client.NewSession()
	require.NoError(t, err)
	announce("second")
	require.NoError(t, session.Setenv("A", "B"))
	announce("third")
	require.NoError(t, session.RequestSubsystem("sftp"))
	session, err = client.NewSession()
	require.NoError(t, err)
	require.NoError(t, session.RequestPty("xterm", 24, 80, nil))
	require.NoError(t, session.Shell())
	require.Error(t, session.Wait())
}
