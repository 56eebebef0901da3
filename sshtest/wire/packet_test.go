package wire_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// x/crypto's client gives up when an UNIMPLEMENTED comes; OpenSSH's does not.
func TestNoiseIsBorneByOpenSSH(t *testing.T) {
	client, err := exec.LookPath("ssh")
	require.NoError(t, err)
	for name, lax := range map[string]bool{"strict": false, "not strict": true} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan uint32, 1)
			s := sshtest.NewServer(t, &sshtest.Options{Script: func(p *wire.Peer) {
				p.Noise, p.Lax = true, lax
				p.Login()
				greet(p)
				sent <- p.Sent
			}})
			hosts := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, os.WriteFile(hosts, s.KnownHosts(), 0o600))
			host, port, err := net.SplitHostPort(s.Addr)
			require.NoError(t, err)
			out, err := exec.CommandContext(t.Context(), client, "-F", "none", "-p", port, "-o", "UserKnownHostsFile="+hosts,
				"-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes", s.User+"@"+host, "greet").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "greet", string(out))
			require.GreaterOrEqual(t, <-sent, uint32(4), "the last packet alone, with its noise, makes four")
		})
	}
}

func TestFarewellOfTheClientIsShown(t *testing.T) {
	for name, end := range map[string]func(p *wire.Peer){
		"Drain": func(p *wire.Peer) {
			if m := p.Drain(); m == nil || m.Reason != 11 || m.Message != "bye" {
				p.Fatalf("%v", m)
			}
		},
		"Receive":            func(p *wire.Peer) { p.Receive(); p.Fatalf("the script goes on") },
		"Receive, by number": func(p *wire.Peer) { p.Receive(1); p.Drain(); p.Receive() },
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *wire.Peer) {
				p.Send(wire.PingMsg{})
				end(p)
			})
			c, err := s.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			defer c.Close()
			bye := ssh.Marshal(wire.DisconnectMsg{Reason: 11, Message: "bye"})
			packet := append([]byte{0, 0, 0, 28, byte(27 - len(bye))}, append(bye, make([]byte, 27-len(bye))...)...)
			_, err = c.Write(packet)
			require.NoError(t, err)
			require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
			_, err = io.ReadAll(c)
			require.NoError(t, err)
			if name == "Receive, by number" {
				require.Contains(t, s.Log(), "script: EOF")
			} else {
				require.Contains(t, s.Log(), `disconnects for reason 11: "bye"`)
			}
		})
	}
}
