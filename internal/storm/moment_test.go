package storm_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// openSSH is a version of a server to which everything is sent early: the
// command leaves behind the login, and on channels that are presumed.
const openSSH = "SSH-2.0-OpenSSH_9.9"

// scripted returns a server that plays the script at the far end of a link, in
// the bubble of the caller, and a config for it.
func scripted(t *testing.T, script func(p *sshtest.Peer)) (*sshtest.Server, *nacre.Config) {
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Version: openSSH, Script: script})
	return s, clientConfig(s, through(s, 100*time.Millisecond))
}

// hello grants the command that the client's next messages start, and answers.
func hello(p *sshtest.Peer, exchange func()) {
	id, _ := p.AcceptCommand()
	for _, m := range []any{
		sshtest.ChannelDataMsg{Recipient: id, Data: []byte("hello\n")},
		sshtest.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)},
		sshtest.ChannelEOFMsg{Recipient: id},
		sshtest.ChannelCloseMsg{Recipient: id},
	} {
		exchange()
		p.Send(m)
	}
}

// A server may have new keys made at any time, in the login too, and while a
// command is under way that was sent before its turn.
func TestExchangeAtEveryStepOfACommand(t *testing.T) {
	run := map[string]func(t *testing.T, s *sshtest.Server, c *nacre.Config) ([]byte, error){
		"one shot": func(t *testing.T, s *sshtest.Server, c *nacre.Config) ([]byte, error) {
			return nacre.Command(t.Context(), s.Target, c, "echo hello").Output()
		},
		"dialled": func(t *testing.T, s *sshtest.Server, c *nacre.Config) ([]byte, error) {
			client, err := nacre.Dial(t.Context(), s.Target, c)
			if err != nil {
				return nil, err
			}
			defer client.Close()
			return client.Command(t.Context(), "echo hello").Output()
		},
	}
	for name, run := range run {
		for when, refused := range map[string]bool{"granted at once": false, "refused first": true} {
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var exchanges int
					s, c := scripted(t, func(p *sshtest.Peer) {
						defer func() { exchanges = p.Exchanges }()
						p.Handshake()
						p.Exchange()
						m := sshtest.Expect[sshtest.ServiceRequestMsg](p)
						p.Exchange()
						p.Send(sshtest.ServiceAcceptMsg(m))
						p.Exchange()
						sshtest.Expect[sshtest.UserauthRequestMsg](p)
						p.Exchange()
						if refused {
							p.Send(sshtest.UserauthFailureMsg{Methods: []string{"publickey"}})
							p.Exchange()
							sshtest.Expect[sshtest.UserauthRequestMsg](p)
							p.Exchange()
						}
						p.Send(sshtest.UserauthSuccessMsg{})
						p.Exchange()
						hello(p, p.Exchange)
						p.Exchange()
						p.Drain()
					})
					if refused {
						c.Auth = append([]userauth.Method{userauth.None()}, c.Auth...)
					}
					out, err := run(t, s, c)
					require.NoError(t, err)
					require.Equal(t, "hello\n", string(out))
					s.Close()
					require.GreaterOrEqual(t, exchanges, 9)
				})
			})
		}
	}
}

// Whatever the server sent before it saw our KEXINIT counts: the answer to an
// open, data and window. What we owe for that leaves behind the exchange.
func TestWhatCrossesOurKexInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half = window / 2
		asked, moved := make(chan bool), make(chan bool)
		s, c := scripted(t, func(p *sshtest.Peer) {
			p.Login()
			first := p.AcceptChannel()
			second := sshtest.Expect[sshtest.ChannelOpenMsg](p)
			<-asked // the client's KEXINIT is on its way, and this crosses it
			p.Send(sshtest.ChannelOpenConfirmMsg{Recipient: second.Sender, Sender: 1, Window: 0, MaxPacket: 100})
			p.Send(sshtest.ChannelDataMsg{Recipient: first.Sender, Data: make([]byte, half)})
			p.Send(sshtest.ChannelWindowAdjustMsg{Recipient: second.Sender, Bytes: 5})
			<-moved // the client has read, and what it would say to that has to wait
			p.Send(sshtest.GlobalRequestMsg{Name: "keepalive@openssh.com", WantReply: true})
			p.Exchange()
			var seen [101]int
			for range 3 {
				seen[p.Receive()[0]]++
			}
			if seen[93] != 1 || seen[94] != 1 || seen[82] != 1 {
				p.Fatalf("%d adjustments, %d data, %d answers", seen[93], seen[94], seen[82])
			}
			p.Drain()
		})
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		first, err := client.Session(t.Context())
		require.NoError(t, err)
		opened := make(chan *channel.Session)
		go func() {
			second, _ := client.Session(t.Context())
			opened <- second
		}()
		time.Sleep(time.Second)
		require.NoError(t, client.Transport().Rekey())
		asked <- true
		second := <-opened
		require.NotNil(t, second)
		_, err = io.ReadFull(first, make([]byte, half))
		require.NoError(t, err)
		n, err := second.Write([]byte("12345"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		moved <- true
		time.Sleep(time.Second)
		require.Equal(t, 2, client.Transport().State().Exchanges)
		require.NoError(t, client.Close())
		s.Close()
	})
}

// busy returns a client with ten channels that are written to and read all the
// time, and what becomes of each.
func busy(t *testing.T, s *sshtest.Server, c *nacre.Config) (client *nacre.Client, failed <-chan error) {
	t.Helper()
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	errs := make(chan error, 2*echoes)
	var sessions []*channel.Session
	for range echoes {
		session, err := client.Session(t.Context())
		require.NoError(t, err)
		sessions = append(sessions, session)
	}
	for _, session := range sessions {
		go func() {
			_, err := io.Copy(session, endless{})
			errs <- err
		}()
		go func() { _, err := session.Read(make([]byte, 1)); errs <- err }()
	}
	return client, errs
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// accept lets a client in and confirms ten channels.
func accept(p *sshtest.Peer) {
	p.Login()
	for range echoes {
		p.AcceptChannel()
	}
}

// requireLost checks that everybody who waits on a client is told why it ended.
func requireLost(t *testing.T, client *nacre.Client, failed <-chan error, why func(err error)) {
	t.Helper()
	for range 2 * echoes {
		err := <-failed
		require.ErrorIs(t, err, net.ErrClosed)
		why(err)
	}
	_, err := client.Session(context.Background())
	require.ErrorIs(t, err, net.ErrClosed)
	why(err)
	why(client.Wait())
}

// K21: the server begins an exchange and never ends it. Those who write wait,
// memory is bounded, and the deadline of the handshake ends it.
func TestExchangeThatNeverEnds(t *testing.T) {
	for name, stall := range map[string]func(p *sshtest.Peer){
		"and it reads":         func(p *sshtest.Peer) { p.SendKexInit(); p.Drain() },
		"and it does not":      func(p *sshtest.Peer) { p.SendKexInit(); <-time.After(time.Hour) },
		"and it drips":         func(p *sshtest.Peer) { p.SendKexInit(); drip(p) },
		"after its public key": func(p *sshtest.Peer) { p.Instead(21, sshtest.IgnoreMsg{}); p.Exchange(); p.Drain() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, func(p *sshtest.Peer) { accept(p); stall(p) })
				c.Transport.HandshakeTimeout = 30 * time.Second
				c.Connection.KeepAliveInterval = 0
				before := heap()
				begun := time.Now()
				client, failed := busy(t, s, c)
				time.Sleep(20 * time.Second)
				require.Empty(t, failed)
				require.Less(t, heap(), before+32<<20)
				requireLost(t, client, failed, func(err error) { require.ErrorIs(t, err, context.DeadlineExceeded) })
				require.Less(t, time.Since(begun), 40*time.Second)
				require.NoError(t, client.Close())
				s.CloseClientConnections()
			})
		})
	}
}

// drip sends something every second that an exchange bears.
func drip(p *sshtest.Peer) {
	go p.Drain()
	for {
		p.Send(sshtest.IgnoreMsg{})
		<-time.After(time.Second)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// K18: a host key that changes, or is not proven, in a later exchange ends
// everything, whoever has begun it.
func TestHostKeyThatChangesUnderLoad(t *testing.T) {
	for name, lie := range map[string]func(p *sshtest.Peer, other ssh.Signer){
		"another key": func(p *sshtest.Peer, other ssh.Signer) { p.HostKey = other },
		"another signature": func(p *sshtest.Peer, _ ssh.Signer) {
			p.KexReply = func(m *sshtest.KexECDHReplyMsg) { m.Signature[len(m.Signature)-1] ^= 1 }
		},
		"only its name": func(p *sshtest.Peer, other ssh.Signer) {
			p.KexReply = func(m *sshtest.KexECDHReplyMsg) { m.HostKey = other.PublicKey().Marshal() }
		},
	} {
		for _, ours := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
					s, c := scripted(t, func(p *sshtest.Peer) {
						accept(p)
						lie(p, other)
						if !ours {
							p.Exchange()
						}
						for {
							p.Receive()
						}
					})
					if ours {
						c.Transport.RekeyBytes = 100_000
					}
					client, failed := busy(t, s, c)
					requireLost(t, client, failed, func(err error) {
						var key *transport.HostKeyError
						require.ErrorAs(t, err, &key)
						if name == "another key" {
							require.True(t, bytes.Equal(other.PublicKey().Marshal(), key.Key.Marshal()))
						}
					})
					s.Close()
				})
			})
		}
	}
}

// Close takes as long as it always does, and all who wait are told.
func TestCloseInTheMidstOfAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := scripted(t, func(p *sshtest.Peer) { accept(p); p.SendKexInit(); p.Drain() })
		client, failed := busy(t, s, c)
		time.Sleep(time.Second)
		begun := time.Now()
		require.NoError(t, client.Close())
		require.LessOrEqual(t, time.Since(begun), 110*time.Millisecond)
		requireLost(t, client, failed, func(error) {})
		require.NoError(t, client.Wait())
		s.Close()
	})
}

// In an exchange no question can be asked, but each of its messages is a sign
// of life.
func TestExchangesAreSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := scripted(t, func(p *sshtest.Peer) {
			p.Login()
			for range 10 { // two minutes, in which the client gets to say next to nothing
				p.SendKexInit()
				<-time.After(6 * time.Second)
				p.ReceiveKexInit()
				p.FinishKex()
				<-time.After(6 * time.Second)
			}
			hello(p, func() {})
			p.Drain()
		})
		c.Connection.KeepAliveInterval, c.Connection.KeepAliveCount = 7*time.Second, 1
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		out, err := client.Command(t.Context(), "echo hello").Output()
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))
		require.NoError(t, client.Close())
		s.Close()
	})
}
