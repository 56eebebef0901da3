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
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// openSSH is the version of a server to which the client sends everything
// early: the command leaves behind the login, and on channels opened early.
const openSSH = "SSH-2.0-OpenSSH_9.9"

// scripted returns a server that plays the script at the far end of a link, in
// the bubble of the caller, and a config for the server.
func scripted(t *testing.T, script func(p *wire.Peer)) (*sshtest.Server, *nacre.Config) {
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Version: openSSH, Script: script})
	return s, clientConfig(s, through(s, 100*time.Millisecond))
}

// hello grants the client's next command, and answers "hello".
func hello(p *wire.Peer, exchange func()) {
	id, _ := p.AcceptCommand()
	for _, m := range []any{
		wire.ChannelDataMsg{Recipient: id, Data: []byte("hello\n")},
		wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)},
		wire.ChannelEOFMsg{Recipient: id},
		wire.ChannelCloseMsg{Recipient: id},
	} {
		exchange()
		p.Send(m)
	}
}

// A server may make new keys at any time, in the login too, and during a
// command sent early.
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
					s, c := scripted(t, func(p *wire.Peer) {
						defer func() { exchanges = p.Exchanges }()
						p.Handshake()
						p.Exchange()
						m := wire.Expect[wire.ServiceRequestMsg](p)
						p.Exchange()
						p.Send(wire.ServiceAcceptMsg(m))
						p.Exchange()
						wire.Expect[wire.UserauthRequestMsg](p)
						p.Exchange()
						if refused {
							p.Send(wire.UserauthFailureMsg{Methods: []string{"publickey"}})
							p.Exchange()
							wire.Expect[wire.UserauthRequestMsg](p)
							p.Exchange()
						}
						p.Send(wire.UserauthSuccessMsg{})
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

// The server's messages before our KEXINIT count: the answer to an open, data
// and window. Our answers leave behind the exchange.
func TestWhatCrossesOurKexInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half = window / 2
		asked, moved := make(chan bool), make(chan bool)
		s, c := scripted(t, func(p *wire.Peer) {
			p.Login()
			first := p.AcceptChannel()
			second := wire.Expect[wire.ChannelOpenMsg](p)
			<-asked // the client's KEXINIT is on its way, and meets these messages
			p.Send(wire.ChannelOpenConfirmMsg{Recipient: second.Sender, Sender: 1, Window: 0, MaxPacket: 100})
			p.Send(wire.ChannelDataMsg{Recipient: first.Sender, Data: make([]byte, half)})
			p.Send(wire.ChannelWindowAdjustMsg{Recipient: second.Sender, Bytes: 5})
			<-moved // the client has read, and its answers have to wait
			p.Send(wire.GlobalRequestMsg{Name: "keepalive@openssh.com", WantReply: true})
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

// busy returns a client that writes to ten channels and reads from them all
// the time, and the error of each call.
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
func accept(p *wire.Peer) {
	p.Login()
	for range echoes {
		p.AcceptChannel()
	}
}

// requireLost checks that every call that waits on a client returns the reason
// of the end.
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

// K21: the server begins an exchange without end. Writers wait, memory is
// bounded, and the deadline of the handshake ends the exchange.
func TestExchangeThatNeverEnds(t *testing.T) {
	for name, stall := range map[string]func(p *wire.Peer){
		"and it reads":         func(p *wire.Peer) { p.SendKexInit(); p.Drain() },
		"and it does not":      func(p *wire.Peer) { p.SendKexInit(); <-time.After(time.Hour) },
		"and it drips":         func(p *wire.Peer) { p.SendKexInit(); drip(p) },
		"after its public key": func(p *wire.Peer) { p.Instead(21, wire.IgnoreMsg{}); p.Exchange(); p.Drain() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, func(p *wire.Peer) { accept(p); stall(p) })
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

// drip sends a harmless message every second of an exchange.
func drip(p *wire.Peer) {
	go p.Drain()
	for {
		p.Send(wire.IgnoreMsg{})
		<-time.After(time.Second)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// K18: a host key that changes, or has no proof, in a later exchange ends
// everything, whoever began the exchange.
func TestHostKeyThatChangesUnderLoad(t *testing.T) {
	for name, lie := range map[string]func(p *wire.Peer, other ssh.Signer){
		"another key": func(p *wire.Peer, other ssh.Signer) { p.HostKey = other },
		"another signature": func(p *wire.Peer, _ ssh.Signer) {
			p.KexReply = func(m *wire.KexECDHReplyMsg) { m.Signature[len(m.Signature)-1] ^= 1 }
		},
		"only its name": func(p *wire.Peer, other ssh.Signer) {
			p.KexReply = func(m *wire.KexECDHReplyMsg) { m.HostKey = other.PublicKey().Marshal() }
		},
	} {
		for _, ours := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
					s, c := scripted(t, func(p *wire.Peer) {
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

// Close takes as long as always, and everybody who waits is told.
func TestCloseInTheMidstOfAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := scripted(t, func(p *wire.Peer) { accept(p); p.SendKexInit(); p.Drain() })
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

// During an exchange the client cannot ask for a sign of life, but each
// message of an exchange is a sign.
func TestExchangesAreSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := scripted(t, func(p *wire.Peer) {
			p.Login()
			for range 10 { // two minutes with hardly a turn for the client
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
