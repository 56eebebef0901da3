package transport_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// requireBudget checks the error after a server took too much.
func requireBudget(t *testing.T, err error, stage, field, limit string) {
	t.Helper()
	budget, ok := errors.AsType[*transport.BudgetError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, &transport.BudgetError{Stage: stage, Field: field, Limit: limit}, budget)
	timeout := strings.HasSuffix(field, "Timeout")
	var network net.Error
	require.ErrorAs(t, err, &network)
	require.Equal(t, timeout, network.Timeout())
	require.Equal(t, timeout, errors.Is(err, context.DeadlineExceeded))
	require.Equal(t, timeout, errors.Is(err, os.ErrDeadlineExceeded))
}

// readOn reads until the connection has ended.
func readOn(c *transport.Conn) error {
	for {
		if _, err := c.ReadPacket(); err != nil {
			return err
		}
	}
}

// V1 and V2, until the user is authenticated: a deadline covers everything that the
// server does or does not do.
func TestServerHasOneDeadlineForTheLogin(t *testing.T) {
	var (
		banner  = text(53, "wait")
		request = ssh.Marshal(wire.UserauthInfoRequestMsg{})
	)
	for name, run := range map[string]func(p *wire.Peer){
		"says nothing":     drain,
		"drips a packet":   func(p *wire.Peer) { drip(p, p.Seal(make([]byte, 30000))) },
		"ignores for ever": func(p *wire.Peer) { sendForever(p, ignore) },
		"debugs for ever":  func(p *wire.Peer) { sendForever(p, debug) },
		"pings for ever":   func(p *wire.Peer) { sendForever(p, ping) },
		"unknown for ever": func(p *wire.Peer) { go p.Drain(); sendForever(p, []byte{200}) },
		"shows banners":    func(p *wire.Peer) { sendForever(p, banner) },
		"asks for ever":    func(p *wire.Peer) { sendForever(p, request) },
		"refuses for ever": func(p *wire.Peer) { sendForever(p, []byte{51, 0, 0, 0, 0, 0}) },
		"changes keys always": func(p *wire.Peer) {
			for {
				p.Exchange()
				time.Sleep(10 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
					time.Sleep(time.Second)
					run(p)
				})
				err := readOn(c)
				requireBudget(t, err, "authentication", "LoginTimeout", "2m0s")
				require.Equal(t, 2*time.Minute, time.Since(start))
				requireEnded(t, c, err)
			})
		})
	}
}

// sendForever sends a packet every ten seconds.
func sendForever(p *wire.Peer, payload []byte) {
	for {
		p.Send(payload)
		time.Sleep(10 * time.Second)
	}
}

// deafAfter takes no writes once deaf is set.
type deafAfter struct {
	net.Conn
	deaf   bool
	closed chan struct{}
}

func (d *deafAfter) Write(p []byte) (int, error) {
	if d.deaf {
		<-d.closed
		return 0, net.ErrClosed
	}
	return d.Conn.Write(p)
}

func (d *deafAfter) Close() error {
	if d.deaf {
		close(d.closed)
	}
	return d.Conn.Close()
}

// P16: a write that the server does not take.
func TestWriteThatTheServerDoesNotTakeCountsAgainstTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &deafAfter{closed: make(chan struct{}), Conn: dial(t, scripted(t, honest))}
		c := transport.Client(conn, &transport.Config{
			HostKey: transport.FixedHostKey(hostKey().PublicKey()), LoginTimeout: time.Minute,
		})
		require.NoError(t, c.Handshake(t.Context()))
		conn.deaf = true
		start := time.Now()
		err := c.WritePacket([]byte{50})
		requireBudget(t, err, "authentication", "LoginTimeout", "1m0s")
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestOnlyTheServersTimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := transport.Config{
			LoginTimeout: time.Minute,
			HostKey: transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error {
				time.Sleep(time.Hour) // somebody compares fingerprints
				return nil
			}),
		}
		c := client(t, config, func(p *wire.Peer) {
			time.Sleep(19 * time.Second)
			p.Handshake()
			for {
				p.Receive(50)
				time.Sleep(19 * time.Second)
				p.Send([]byte{51, 0, 0, 0, 0, 0})
			}
		})
		require.NoError(t, c.Handshake(t.Context()))
		var waited time.Duration
		for {
			time.Sleep(time.Hour) // somebody looks for a password
			require.NoError(t, c.WritePacket([]byte{50}))
			start := time.Now()
			_, err := c.ReadPacket()
			waited += time.Since(start)
			if err != nil {
				requireBudget(t, err, "authentication", "LoginTimeout", "1m0s")
				break
			}
		}
		require.Equal(t, 41*time.Second, waited, "and the handshake 19")
	})
}

// The clock of HandshakeTimeout goes on behind the verifier.
func TestServerThatStallsAfterTheVerifierSpendsTheRestOfTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := transport.Config{
			HandshakeTimeout: 30 * time.Second,
			HostKey: transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error {
				time.Sleep(time.Hour)
				return nil
			}),
		}
		c := client(t, config, func(p *wire.Peer) {
			time.Sleep(20 * time.Second)
			p.Lax = true
			p.Instead(21, []byte{2, 0, 0, 0, 0}) // IGNORE for NEWKEYS
			p.Handshake()
			p.Drain()
		})
		start := time.Now()
		requireBudget(t, c.Handshake(t.Context()), "key exchange", "HandshakeTimeout", "30s")
		require.Equal(t, 30*time.Second+time.Hour, time.Since(start))
	})
}

// A server that has granted access may take any time and send any number of bytes: no
// clock starts again.
func TestBudgetEndsWithTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := transport.Config{LoginTimeout: time.Minute, LoginBytes: 2000, LoginPackets: 10}
		c := connected(t, config, nil, func(p *wire.Peer) {
			time.Sleep(59 * time.Second)
			p.Send([]byte{52})
			p.Send(each(slices.Repeat([][]byte{make80(1000)}, 100))...)
			time.Sleep(time.Hour)
			p.Send([]byte{127})
			p.Drain()
		})
		for {
			p, err := c.ReadPacket()
			require.NoError(t, err)
			require.NoError(t, c.WritePacket([]byte{80}))
			if p[0] == 127 {
				break
			}
		}
	})
}

// loginOf returns the end of a login with a server that sends packets before the
// success, and how many bytes the server has sent in all.
func loginOf(t *testing.T, config transport.Config, greeting string, packets ...[]byte) (written int, err error) {
	near, far := sshtest.Pipe()
	over := make(chan *cutter, 1)
	count := &cutter{Conn: far, left: 1 << 30}
	s := scripted(t, func(p *wire.Peer) {
		defer func() { over <- count }()
		if greeting != "" {
			p.Version = greeting
		}
		p.Handshake()
		p.Send(each(packets)...)
		p.Send([]byte{52})
	})
	go s.ServeConn(count)
	config.HostKey = transport.FixedHostKey(hostKey().PublicKey())
	c := transport.Client(near, &config)
	if err = c.Handshake(t.Context()); err == nil {
		_, err = c.ReadPacket()
	}
	require.NoError(t, c.Close())
	return (<-over).written, err
}

func TestBytesAndPacketsOfALoginAreBounded(t *testing.T) {
	const kex = 3 // KEXINIT, reply, NEWKEYS
	noise := slices.Repeat([][]byte{ignore}, 10)
	all := transport.Config{LoginPackets: kex + 10 + 1}
	_, err := loginOf(t, all, "", noise...)
	require.NoError(t, err)
	all.LoginPackets--
	_, err = loginOf(t, all, "", noise...)
	requireBudget(t, err, "authentication", "LoginPackets", "13")

	greeting := strings.Repeat("hello\r\n", 100) + "SSH-2.0-script\r\n"
	written, err := loginOf(t, transport.Config{}, greeting, noise...)
	require.NoError(t, err)
	require.Greater(t, written, 1000)
	_, err = loginOf(t, transport.Config{LoginBytes: int64(written)}, greeting, noise...)
	require.NoError(t, err)
	_, err = loginOf(t, transport.Config{LoginBytes: int64(written) - 1}, greeting, noise...)
	require.ErrorAs(t, err, new(*transport.BudgetError))
	_, err = loginOf(t, transport.Config{LoginBytes: 600}, greeting)
	requireBudget(t, err, "version exchange", "LoginBytes", "600")
	_, err = loginOf(t, transport.Config{LoginPackets: 2}, greeting)
	requireBudget(t, err, "key exchange", "LoginPackets", "2")

	off := transport.Config{LoginTimeout: -1, LoginBytes: -1, LoginPackets: -1}
	_, err = loginOf(t, off, "", slices.Repeat([][]byte{text(53, strings.Repeat("x", 30000))}, 5000)...)
	require.NoError(t, err)
}

// A8 and P9: floods before the end of the login are cut off by default.
func TestFloodsBeforeAuthentication(t *testing.T) {
	big := strings.Repeat("x", 32000)
	for name, flood := range map[string]struct {
		message []byte
		field   string
		limit   string
	}{
		"IGNORE":        {ignore, "LoginPackets", "4096"},
		"DEBUG":         {debug, "LoginPackets", "4096"},
		"UNIMPLEMENTED": {[]byte{3, 0, 0, 0, 0}, "LoginPackets", "4096"},
		"PING":          {ping, "LoginPackets", "4096"},
		"unknown":       {[]byte{200}, "LoginPackets", "4096"},
		"failure":       {[]byte{51, 0, 0, 0, 0, 0}, "LoginPackets", "4096"},
		"banner":        {text(53, ""), "LoginPackets", "4096"},
		"large banner":  {text(53, big), "LoginBytes", "4194304"},
		"large IGNORE":  {text(2, big), "LoginBytes", "4194304"},
		"challenge":     {text(60, big), "LoginBytes", "4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
				var message any = flood.message
				for {
					p.Send(message)
				}
			})
			before := heap()
			err := readOn(c)
			require.Less(t, heap()-before, int64(4<<20))
			requireBudget(t, err, "authentication", flood.field, flood.limit)
			requireEnded(t, c, err)
		})
	}
	t.Run("IGNORE before KEXINIT", func(t *testing.T) {
		err := refused(t, transport.Config{}, func(p *wire.Peer) {
			p.Lax = true
			p.Before(20, each(slices.Repeat([][]byte{ignore}, 5000))...)
		})
		requireBudget(t, err, "key exchange", "LoginPackets", "4096")
	})
}
