package nacre_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// A server built with x/crypto mostly drops requests right behind an open, and many
// of these servers call themselves OpenSSH. The client detects the drop, and
// remembers the server for the next time.
func TestServerThatDropsEarlyRequests(t *testing.T) {
	for name, test := range map[string]struct {
		requests int
		change   func(cmd *nacre.Cmd)
	}{
		"exec": {1, func(*nacre.Cmd) {}},
		"environment, terminal and exec": {3, func(cmd *nacre.Cmd) {
			cmd.Env, cmd.EnvOptional, cmd.PTY = []string{"A=1"}, true, &channel.PTY{}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				s := sshtest.NewServer(t, &sshtest.Options{
					Version: "SSH-2.0-OpenSSH_9.2", InMemory: true,
					Script: func(p *wire.Peer) {
						connections++
						p.Login()
						if connections > 1 {
							id, _ := p.AcceptCommand()
							p.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)})
							p.Send(wire.ChannelCloseMsg{Recipient: id})
							p.Drain()
							return
						}
						id := p.AcceptChannel().Sender
						for n := 0; ; {
							if p.Receive()[0] != 98 {
								continue // input and its end
							}
							if n++; n > test.requests {
								p.Send(wire.ChannelFailureMsg{Recipient: id})
							}
						}
					},
				})
				c := config(s)
				c.Dial = s.DialContext
				begin := time.Now()
				cmd := nacre.Command(t.Context(), s.Target, c, "true")
				test.change(cmd)
				err := cmd.Run()
				require.ErrorAs(t, err, new(*nacre.UncertainError))
				require.ErrorAs(t, err, new(*connection.RequestError))
				require.ErrorContains(t, err, "set Config.DisableEarly for this server")
				require.Equal(t, time.Duration(test.requests)*2*time.Second, time.Since(begin).Round(time.Second))
				require.NoError(t, nacre.Command(t.Context(), s.Target, c, "true").Run())
				require.Equal(t, 2, connections)
			})
		})
	}
}

// A slow server drops nothing: its answer counts, however late the answer comes.
func TestServerThatIsSlowToAnswerACommand(t *testing.T) {
	for name, test := range map[string]struct {
		delay time.Duration
		asked int
		grant bool
	}{
		"granted at once":         {time.Second, 0, true},
		"refused at once":         {time.Second, 0, false},
		"granted in the end":      {5 * time.Second, 2, true},
		"refused in the end":      {5 * time.Second, 2, false},
		"granted very much later": {time.Hour, 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{
					Version: "SSH-2.0-OpenSSH_9.2", InMemory: true,
					Script: func(p *wire.Peer) {
						p.Login()
						id, _ := p.AcceptChannel().Sender, p.Receive(98)
						p.Receive(96) // SSH_MSG_CHANNEL_EOF of the empty input
						time.Sleep(test.delay)
						if test.grant {
							p.Send(wire.ChannelSuccessMsg{Recipient: id})
						} else {
							p.Send(wire.ChannelFailureMsg{Recipient: id})
						}
						for range test.asked {
							var m wire.ChannelRequestMsg
							require.NoError(t, ssh.Unmarshal(p.Receive(98), &m))
							require.Equal(t, "keepalive@openssh.com", m.Name)
							p.Send(wire.ChannelFailureMsg{Recipient: id})
						}
						p.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)})
						p.Send(wire.ChannelCloseMsg{Recipient: id})
						p.Receive(97)
						p.Drain()
					},
				})
				c := config(s)
				c.Dial = s.DialContext
				begin := time.Now()
				err := nacre.Command(t.Context(), s.Target, c, "true").Run()
				require.Equal(t, test.delay, time.Since(begin).Round(time.Second))
				if test.grant {
					require.NoError(t, err)
				} else {
					refusal("exec", test.asked > 0)(t, err)
				}
			})
		})
	}
}
