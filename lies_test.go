package nacre_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// scripted returns a server that plays a script, and a config for the server.
func scripted(t *testing.T, script func(p *wire.Peer)) (*sshtest.Server, *nacre.Config) {
	s := sshtest.Scripted(t, script)
	c := config(s)
	c.Dial, c.Memory = s.DialContext, nacre.NoMemory{}
	return s, c
}

// A5: a password is for a verified server only, and is offered once.
func TestPasswordIsNotForEverybody(t *testing.T) {
	for name, script := range map[string]func(p *wire.Peer){
		"wrong host key": func(p *wire.Peer) {
			p.HostKey = sshtest.NewSigner(t, ssh.KeyAlgoED25519)
			p.Handshake()
			p.Fatalf("the client goes on")
		},
		"wrong signature": func(p *wire.Peer) {
			p.KexReply = func(m *wire.KexECDHReplyMsg) { m.Signature[len(m.Signature)-1] ^= 1 }
			p.Handshake()
			p.Fatalf("the client goes on")
		},
		"no cipher": func(p *wire.Peer) {
			p.KexInit = func(m *wire.KexInitMsg) { m.CipherIn, m.CipherOut = []string{"none"}, []string{"none"} }
			p.Handshake()
			p.Fatalf("the client goes on")
		},
		"wanted twice": func(p *wire.Peer) {
			p.Handshake()
			p.Send(wire.ServiceAcceptMsg{Name: wire.Expect[wire.ServiceRequestMsg](p).Name})
			wire.Expect[wire.UserauthRequestMsg](p)
			p.Send(wire.UserauthFailureMsg{Methods: []string{"password"}, PartialSuccess: true})
			p.Receive(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, script)
				c.Auth = []userauth.Method{userauth.Password("secret")}
				_, err := nacre.Dial(t.Context(), s.Target, c)
				var failed *nacre.Error
				require.ErrorAs(t, err, &failed)
				require.NotContains(t, err.Error(), "secret")
				require.Equal(t, name == "wanted twice", failed.Op == "authenticate")
			})
		})
	}
}

// C16: a refused request is an error, unless optional, and a request without an
// answer ends with the context.
func TestAnswersToTheRequestsOfACommand(t *testing.T) {
	for name, test := range map[string]struct {
		refused, ignored string // names of requests
		change           func(cmd *nacre.Cmd)
		check            func(t *testing.T, err error)
	}{
		"granted":      {"", "", nil, func(t *testing.T, err error) { require.NoError(t, err) }},
		"exec refused": {"exec", "", nil, refusal("exec", false)},
		"exec ignored": {"", "exec", nil, func(t *testing.T, err error) {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorAs(t, err, new(*nacre.UncertainError))
		}},
		"env refused":   {"env", "", func(cmd *nacre.Cmd) { cmd.Env = []string{"A=1"} }, refusal("env", false)},
		"env dispensed": {"env", "", func(cmd *nacre.Cmd) { cmd.Env, cmd.EnvOptional = []string{"A=1"}, true }, func(t *testing.T, err error) { require.NoError(t, err) }},
		"env ignored": {"", "env", func(cmd *nacre.Cmd) { cmd.Env = []string{"A=1"} }, func(t *testing.T, err error) {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorAs(t, err, new(*nacre.UncertainError), "the command was not sent")
		}},
		// OpenSSH's client goes on without the terminal, and its user sees why. A
		// program gets an error: the command may wait for a terminal for ever.
		"terminal refused": {"pty-req", "", func(cmd *nacre.Cmd) { cmd.PTY = &channel.PTY{} }, refusal("pty-req", true)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, func(p *wire.Peer) {
					p.Login()
					id := p.AcceptChannel().Sender
					for {
						var m wire.ChannelRequestMsg
						if ssh.Unmarshal(p.Receive(), &m) != nil {
							continue
						}
						switch m.Name {
						case test.refused:
							p.Send(wire.ChannelFailureMsg{Recipient: id})
						case test.ignored:
						default:
							p.Send(wire.ChannelSuccessMsg{Recipient: id})
						}
						if m.Name == "exec" && test.ignored == "" {
							p.Send(wire.ChannelRequestMsg{Recipient: id, Name: "exit-status", Payload: make([]byte, 4)})
							p.Send(wire.ChannelCloseMsg{Recipient: id})
						}
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := nacre.Command(ctx, s.Target, c, "true")
				if test.change != nil {
					test.change(cmd)
				}
				begin := time.Now()
				test.check(t, cmd.Run())
				require.Equal(t, test.ignored != "", time.Since(begin) >= time.Minute)
			})
		})
	}
}

// refusal returns a check for the refusal of a request. uncertain is whether the
// command may have run.
func refusal(name string, uncertain bool) func(t *testing.T, err error) {
	return func(t *testing.T, err error) {
		var refused *connection.RequestError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, name, refused.Name)
		require.Equal(t, uncertain, errors.As(err, new(*nacre.UncertainError)))
	}
}

// H16: errors and banners have no control characters for a terminal to obey,
// whatever the server sends.
func TestWordsOfTheServerAreSafeToShow(t *testing.T) {
	const evil = "\x1b]0;x\a\x1b[2J\r\u009b1m\u202e\x7f"
	for name, script := range map[string]func(p *wire.Peer){
		"instead of a version": func(p *wire.Peer) { p.SendRaw([]byte(evil + "\r\n")) },
		"version":              func(p *wire.Peer) { p.Version = "SSH-2.0-" + evil; p.SendVersion() },
		"version, C1":          func(p *wire.Peer) { p.Version = "SSH-2.0-x\u009b2J"; p.Login(); p.Drain() },
		"disconnect": func(p *wire.Peer) {
			p.Handshake()
			p.Send(wire.DisconnectMsg{Reason: 2, Message: evil})
			p.Drain()
		},
		"names of algorithms": func(p *wire.Peer) {
			p.KexInit = func(m *wire.KexInitMsg) { m.Kex = []string{evil} }
			p.Handshake()
		},
		"methods": func(p *wire.Peer) { login(p, wire.UserauthFailureMsg{Methods: []string{evil}}) },
		"banner": func(p *wire.Peer) {
			login(p, wire.UserauthBannerMsg{Message: evil}, wire.UserauthFailureMsg{})
		},
		"refusal of a channel": func(p *wire.Peer) { p.Login(); refuseChannel(p, evil) },
		"disconnect afterwards": func(p *wire.Peer) {
			p.Login()
			p.Receive()
			p.Send(wire.DisconnectMsg{Reason: 11, Message: evil})
			p.Drain()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, script)
				c.Banner = func(text string) { requireSafe(t, text) }
				cmd := nacre.Command(t.Context(), s.Target, c, "true")
				err := cmd.Run()
				require.Error(t, err)
				requireSafe(t, err.Error())
				var gone *transport.DisconnectError
				if errors.As(err, &gone) {
					requireSafe(t, gone.Error())
				}
			})
		})
	}
}

func requireSafe(t *testing.T, text string) {
	t.Helper()
	require.False(t, strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf)
	}), "%q", text)
}

// login answers the client's first request for authentication.
func login(p *wire.Peer, answer ...any) {
	p.Handshake()
	p.Send(wire.ServiceAcceptMsg{Name: wire.Expect[wire.ServiceRequestMsg](p).Name})
	wire.Expect[wire.UserauthRequestMsg](p)
	p.Send(answer...)
	p.Drain()
}

func refuseChannel(p *wire.Peer, why string) {
	open := wire.Expect[wire.ChannelOpenMsg](p)
	p.Send(wire.ChannelOpenFailureMsg{Recipient: open.Sender, Reason: 1, Message: why, Language: why})
	p.Drain()
}
