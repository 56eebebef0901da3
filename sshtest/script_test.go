package sshtest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestScriptedServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.Scripted(t, func(p *sshtest.Peer) {
			p.Login()
			time.Sleep(time.Hour)
			greet(p)
		})
		start := time.Now()
		out, err := output(t, s, nil)
		require.NoError(t, err)
		require.Equal(t, "greet", out)
		require.Equal(t, time.Hour, time.Since(start))
	})
}

// A client that exchanges keys every few bytes is answered whatever the script
// waits for.
func TestScriptedServerAnswersAnExchangeOfTheClient(t *testing.T) {
	s := sshtest.Scripted(t, func(p *sshtest.Peer) {
		p.Login()
		for p.Exchanges < 3 {
			id := p.AcceptChannel().Sender
			p.Send(sshtest.ChannelDataMsg{Recipient: id, Data: make([]byte, 1000)})
			sshtest.Expect[sshtest.ChannelCloseMsg](p)
			p.Send(sshtest.ChannelCloseMsg{Recipient: id})
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

// x/crypto's client gives up when an UNIMPLEMENTED comes; OpenSSH's does not.
func TestNoiseIsBorneByOpenSSH(t *testing.T) {
	client, err := exec.LookPath("ssh")
	require.NoError(t, err)
	for name, lax := range map[string]bool{"strict": false, "not strict": true} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan uint32, 1)
			s := sshtest.NewServer(t, &sshtest.Options{Script: func(p *sshtest.Peer) {
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

func TestLiesReachTheClient(t *testing.T) {
	for name, test := range map[string]struct {
		lie  func(p *sshtest.Peer)
		want string // of x/crypto's error
	}{
		"another host key": {func(p *sshtest.Peer) { p.HostKey = sshtest.NewSigner(t, ssh.KeyAlgoED25519) }, "host key mismatch"},
		"wrong signature":  {func(p *sshtest.Peer) { p.KexReply = func(m *sshtest.KexECDHReplyMsg) { m.Signature[30] ^= 1 } }, "signature"},
		"no common cipher": {func(p *sshtest.Peer) { p.KexInit = func(m *sshtest.KexInitMsg) { m.CipherOut = nil } }, "no common algorithm"},
		"long version":     {func(p *sshtest.Peer) { p.Version = strings.Repeat("x", 300) }, "overflow"},
		"before KEXINIT":   {func(p *sshtest.Peer) { p.Before(20, []byte{99}) }, "first packet"},
		"behind KEXINIT":   {func(p *sshtest.Peer) { p.After(20, []byte{99}) }, "message type"},
		"for NEWKEYS":      {func(p *sshtest.Peer) { p.Instead(21, sshtest.DisconnectMsg{2, "why", ""}) }, "why"},
		"behind NEWKEYS":   {func(p *sshtest.Peer) { p.After(21, sshtest.UserauthSuccessMsg{}) }, "message type"},
		"packet left out":  {func(p *sshtest.Peer) { p.Handshake(); p.Seal([]byte{2}); p.Send([]byte{2}) }, "authentication failed"},
		"long packet":      {func(p *sshtest.Peer) { p.Handshake(); p.SendRaw(p.SealBody(1<<30, make([]byte, 16))) }, "packet length"},
		"wrong padding":    {func(p *sshtest.Peer) { p.Handshake(); p.SendRaw(p.SealBody(16, make([]byte, 16))) }, "padding"},
		"bytes in clear":   {func(p *sshtest.Peer) { p.SendVersion(); p.SendRaw([]byte("GET / HTTP/1.1")) }, "packet length"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *sshtest.Peer) {
				test.lie(p)
				if p.Sent == 0 {
					p.Handshake()
				}
				p.Drain()
			})
			_, err := try(t, s, nil)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestEachFaultIsNoticedOrBorne(t *testing.T) {
	for kind := sshtest.Pass; kind <= sshtest.Swap; kind++ {
		for _, after := range []int64{0, 5, 30, 1000, 1 << 20} {
			f := sshtest.Fault{Kind: kind, After: after, Chunk: 7, Every: time.Microsecond}
			for name, faults := range map[string]sshtest.Faults{"in": {In: f}, "out": {Out: f}, "both": {In: f, Out: f}} {
				t.Run(fmt.Sprintf("kind %d after %d %s", kind, after, name), func(t *testing.T) {
					borne := after == 1<<20 || kind == sshtest.Pass
					s := sshtest.Scripted(new(failures), func(p *sshtest.Peer) {
						p.Login()
						greet(p)
					})
					defer s.Close()
					out, err := output(t, s, func(c net.Conn) net.Conn {
						c = faults.Conn(c)
						if !borne {
							require.NoError(t, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
						}
						return c
					})
					if borne {
						require.NoError(t, err)
						require.Equal(t, "greet", out)
					} else {
						require.Error(t, err)
					}
				})
			}
		}
	}
}

func TestFarewellOfTheClientIsShown(t *testing.T) {
	for name, end := range map[string]func(p *sshtest.Peer){
		"Drain": func(p *sshtest.Peer) {
			if m := p.Drain(); m == nil || m.Reason != 11 || m.Message != "bye" {
				p.Fatalf("%v", m)
			}
		},
		"Receive":            func(p *sshtest.Peer) { p.Receive(); p.Fatalf("the script goes on") },
		"Receive, by number": func(p *sshtest.Peer) { p.Receive(1); p.Drain(); p.Receive() },
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *sshtest.Peer) {
				p.Send(sshtest.PingMsg{})
				end(p)
			})
			c, err := s.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			defer c.Close()
			bye := ssh.Marshal(sshtest.DisconnectMsg{Reason: 11, Message: "bye"})
			packet := append([]byte{0, 0, 0, 28, byte(27 - len(bye))}, append(bye, make([]byte, 27-len(bye))...)...)
			_, err = c.Write(packet)
			require.NoError(t, err)
			closeWrite(t, c)
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

// failures is a test that notes what it is blamed for.
type failures struct {
	testing.TB
	mu   sync.Mutex
	text string
}

func (f *failures) Helper()        {}
func (f *failures) Failed() bool   { return false }
func (f *failures) Cleanup(func()) {}

func (f *failures) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += fmt.Sprintf(format, args...)
}

func TestClientThatDoesNotWhatTheScriptExpectsFailsTheTest(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *sshtest.Peer)
		want   string // nothing: the test does not fail
	}{
		"another message":       {func(p *sshtest.Peer) { p.Login(); sshtest.Expect[sshtest.ChannelEOFMsg](p) }, "message 90 instead of sshtest.ChannelEOFMsg"},
		"another number":        {func(p *sshtest.Peer) { p.Login(); p.Receive(93, 94) }, "message 90 instead of [93 94]"},
		"no packet":             {func(p *sshtest.Peer) { p.SendVersion(); p.Receive() }, "malformed packet: packet_length"},
		"words of the script":   {func(p *sshtest.Peer) { p.Fatalf("no %d", 7) }, "script: no 7"},
		"connection that fails": {func(p *sshtest.Peer) { p.Conn.Close(); p.Handshake() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tb := new(failures)
			ended := make(chan bool, 1)
			s := sshtest.Scripted(tb, func(p *sshtest.Peer) {
				defer func() { ended <- true }()
				test.script(p)
				ended <- false
			})
			_, err := output(t, s, nil)
			require.Error(t, err)
			require.NoError(t, s.Close())
			require.True(t, <-ended)
			require.Contains(t, tb.text, test.want)
			require.Equal(t, test.want == "", tb.text == "")
			require.Contains(t, s.Log(), "script: ")
		})
	}
}

// What comes before it is asked for is kept, in its order.
func TestPacketsThatComeEarlyAreKept(t *testing.T) {
	early := make(chan bool)
	s := sshtest.Scripted(t, func(p *sshtest.Peer) {
		expect := func(name string) {
			if m := sshtest.Expect[sshtest.GlobalRequestMsg](p); m.Name != name {
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
