package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

func TestHandshakeWithTheScriptedServer(t *testing.T) {
	for name, lax := range map[string]bool{"strict": false, "not strict": true} {
		t.Run(name, func(t *testing.T) {
			c := connected(t, transport.Config{}, func(p *sshtest.Peer) { p.Lax = lax }, func(p *sshtest.Peer) {
				p.Send(p.Receive(80), []byte{2, 0, 0, 0, 0})
				p.Exchange()
				p.Send([]byte{82})
				p.Send(p.Receive(81))
				p.Drain()
			})
			state := c.State()
			require.Equal(t, !lax, state.StrictKex)
			require.Equal(t, "SSH-2.0-script", state.ServerVersion)
			require.Equal(t, "SSH-2.0-Nacre_0.1", state.ClientVersion)
			require.Equal(t, "curve25519-sha256", state.KeyExchange)
			require.Equal(t, ssh.KeyAlgoED25519, state.HostKeyAlgorithm)
			require.Equal(t, hostKey().PublicKey().Marshal(), state.HostKey.Marshal())
			require.Equal(t, 1, state.Exchanges)
			id := c.SessionID()
			require.Len(t, id, 32)
			require.NoError(t, c.WritePacket([]byte{80, 1}))
			p, err := c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, []byte{80, 1}, p)
			p, err = c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, []byte{82}, p)
			require.NoError(t, c.WritePacket([]byte{81, 2}))
			p, err = c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, []byte{81, 2}, p)
			require.Equal(t, 2, c.State().Exchanges)
			require.Equal(t, id, c.SessionID())
			clear(c.SessionID())
			require.Equal(t, id, c.SessionID(), "a copy is returned")
		})
	}
}

// counter counts the calls of Write and keeps what was written.
type counter struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	fails  bool
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails {
		return 0, os.ErrPermission
	}
	c.writes = append(c.writes, append([]byte(nil), p...))
	return c.Conn.Write(p)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.writes)
}

func (c *counter) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = true
}

func TestFirstFlightLeavesBeforeTheServerSpeaks(t *testing.T) {
	near, far := sshtest.Pipe()
	c := transport.Client(&counter{Conn: near}, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
	done := make(chan error, 1)
	go func() { done <- c.Handshake(t.Context()) }()
	flight := make([]byte, 4096)
	n, err := far.Read(flight)
	require.NoError(t, err)
	require.Regexp(t, `(?s)^SSH-2\.0-Nacre_0\.1\r\n....[\x00-\xff]\x14.*mlkem768x25519-sha256.*ext-info-c,kex-strict-c-v00@openssh\.com`, string(flight[:n]))
	require.NoError(t, far.Close())
	require.ErrorIs(t, <-done, io.ErrUnexpectedEOF)
}

func TestServiceRequestAndFirstPacketsAreOneFlight(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		p.Receive(5)
		p.Receive(50)
		p.Send(ssh.Marshal(struct {
			Name string `sshtype:"6"`
		}{"ssh-userauth"}), []byte{51})
		p.Drain()
	})
	require.NoError(t, c.RequestService("ssh-userauth"))
	require.NoError(t, c.WritePacket([]byte{50}))
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{51}, p)
}

// V1: a server that says nothing. V2: one that says a byte each second, in
// each stage of the handshake. The deadline is one for all.
func TestHandshakeHasOneDeadline(t *testing.T) {
	deadlines := map[string]struct {
		config transport.Config
		ctx    func() (context.Context, context.CancelFunc)
		after  time.Duration
		err    error
	}{
		"default timeout": {after: 2 * time.Minute, err: context.DeadlineExceeded},
		"HandshakeTimeout": {
			config: transport.Config{HandshakeTimeout: 9 * time.Second}, after: 9 * time.Second, err: context.DeadlineExceeded,
		},
		"LoginTimeout": {
			config: transport.Config{LoginTimeout: 8 * time.Second}, after: 8 * time.Second, err: context.DeadlineExceeded,
		},
		"deadline of the context": {
			config: transport.Config{HandshakeTimeout: -1, LoginTimeout: -1}, after: time.Hour, err: context.DeadlineExceeded,
			ctx: func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(context.Background(), time.Hour)
			},
		},
		"cancelled context with a cause": {
			after: 5 * time.Second, err: os.ErrProcessDone,
			ctx: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(context.Background())
				time.AfterFunc(5*time.Second, func() { cancel(os.ErrProcessDone) })
				return ctx, func() { cancel(nil) }
			},
		},
	}
	stages := map[string]func(p *sshtest.Peer){
		"silent server":    drain,
		"dripped version":  func(p *sshtest.Peer) { drip(p, []byte("SSH-2.0-slow"+string(make([]byte, 10000)))) },
		"dripped preamble": func(p *sshtest.Peer) { dripForever(p, []byte("hello\r\n")) },
		"dripped KEXINIT": func(p *sshtest.Peer) {
			p.SendRaw([]byte("SSH-2.0-x\r\n"))
			drip(p, append([]byte{0, 0, 0x40, 4, 4, 20}, make([]byte, 0x4000)...))
		},
		"ignores for ever": func(p *sshtest.Peer) {
			p.SendRaw([]byte("SSH-2.0-x\r\n"))
			dripForever(p, p.Seal([]byte{2, 0, 0, 0, 0}))
		},
		"no reply": func(p *sshtest.Peer) { p.SendVersion(); p.SendKexInit(); p.Drain() },
		"dripped KEX reply": func(p *sshtest.Peer) {
			p.SendVersion()
			p.SendKexInit()
			drip(p, append([]byte{0, 0, 0x40, 4, 4, 31}, make([]byte, 0x4000)...))
		},
	}
	for name, d := range deadlines {
		for stage, run := range stages {
			t.Run(name+", "+stage, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.Background(), func() {}
					if d.ctx != nil {
						var c context.CancelFunc
						ctx, c = d.ctx()
						cancel = func() { c() }
					}
					defer cancel()
					start := time.Now()
					c := client(t, d.config, run)
					err := c.Handshake(ctx)
					require.ErrorIs(t, err, d.err)
					require.Regexp(t, "^transport: (version|key) exchange: ", err.Error())
					require.Equal(t, d.ctx == nil, errors.As(err, new(*transport.BudgetError)))
					require.Equal(t, d.after, time.Since(start))
					requireEnded(t, c, err)
					_, err = c.ReadPacket()
					require.ErrorIs(t, err, d.err)
				})
			})
		}
	}
}

// drip sends a byte each second.
func drip(p *sshtest.Peer, b []byte) {
	for i := range b {
		time.Sleep(time.Second)
		p.SendRaw(b[i : i+1])
	}
}

func dripForever(p *sshtest.Peer, b []byte) {
	for {
		drip(p, b)
	}
}

func TestEndedContextIsNoticedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := client(t, transport.Config{}, drain)
	err := c.Handshake(ctx)
	require.ErrorIs(t, err, context.Canceled)
	requireEnded(t, c, err)
}

// stuck is a connection that never gets anywhere, and whose Close says, unlike
// that of a socket, nothing of net.ErrClosed to the calls that it unblocks.
func stuck(t *testing.T) net.Conn {
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	return near
}

func TestCloseUnblocks(t *testing.T) {
	config := transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), HandshakeTimeout: -1}
	silent := func(t *testing.T) *transport.Conn {
		return client(t, config, drain)
	}
	idle := func(t *testing.T) *transport.Conn {
		return connected(t, config, nil, drain)
	}
	// deaf does not read after the handshake.
	deaf := func(t *testing.T) *transport.Conn {
		hold := make(chan struct{})
		c := connected(t, config, nil, func(p *sshtest.Peer) { <-hold })
		t.Cleanup(func() { close(hold) })
		return c
	}
	full := func(c *transport.Conn) error {
		packet := make([]byte, 30000)
		packet[0] = 80
		for {
			if err := c.WritePacket(packet); err != nil {
				return err
			}
		}
	}
	cases := map[string]struct {
		conn func(*testing.T) *transport.Conn
		call func(*transport.Conn) error
	}{
		"Handshake that writes": {
			func(t *testing.T) *transport.Conn { return transport.Client(stuck(t), &config) },
			func(c *transport.Conn) error { return c.Handshake(context.Background()) },
		},
		"Handshake that reads": {silent, func(c *transport.Conn) error { return c.Handshake(context.Background()) }},
		"Handshake that reads from a connection with other errors": {
			func(t *testing.T) *transport.Conn {
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return transport.Client(near, &config)
			},
			func(c *transport.Conn) error { return c.Handshake(context.Background()) },
		},
		"WritePacket before the handshake":    {silent, func(c *transport.Conn) error { return c.WritePacket([]byte{80}) }},
		"RequestService before the handshake": {silent, func(c *transport.Conn) error { return c.RequestService("x") }},
		"ReadPacket":                          {idle, func(c *transport.Conn) error { _, err := c.ReadPacket(); return err }},
		"WritePacket to a full connection":    {deaf, full},
		"WritePacket during an exchange that nobody ends": {idle, func(c *transport.Conn) error {
			if err := c.Rekey(); err != nil {
				return err
			}
			return c.WritePacket([]byte{80})
		}},
		"RequestService during an exchange": {idle, func(c *transport.Conn) error {
			if err := c.Rekey(); err != nil {
				return err
			}
			return c.RequestService("x")
		}},
		"one WritePacket behind another": {deaf, func(c *transport.Conn) error {
			var group sync.WaitGroup
			defer group.Wait()
			group.Go(func() { _ = full(c) })
			return full(c)
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := test.conn(t)
				done := make(chan error, 1)
				go func() { done <- test.call(c) }()
				synctest.Wait()
				select {
				case err := <-done:
					require.Fail(t, "it does not block", "%v", err)
				default:
				}
				start := time.Now()
				require.NoError(t, c.Close())
				err := <-done
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorContains(t, err, "transport: ")
				require.Less(t, time.Since(start), time.Second)
				requireEnded(t, c, err)
			})
		})
	}
}

func TestMistakesOfTheUserAreFoundBeforeAnythingIsSent(t *testing.T) {
	verifier := transport.FixedHostKey(hostKey().PublicKey())
	for name, config := range map[string]*transport.Config{
		"nil config":                 nil,
		"no verifier":                {},
		"unknown key exchange":       {HostKey: verifier, KeyExchanges: []string{"diffie-hellman-group1-sha1"}},
		"unknown host key algorithm": {HostKey: verifier, HostKeyAlgorithms: []string{"ssh-rsa"}},
		"unknown cipher":             {HostKey: verifier, Ciphers: []string{"aes128-gcm@openssh.com", "none"}},
		"unknown MAC":                {HostKey: verifier, MACs: []string{"hmac-md5"}},
		"no key exchange":            {HostKey: verifier, KeyExchanges: []string{}},
		"no cipher":                  {HostKey: verifier, Ciphers: []string{}},
		"too large packets":          {HostKey: verifier, MaxPacket: 262145},
		"negative packets":           {HostKey: verifier, MaxPacket: -1},
		"version of another":         {HostKey: verifier, ClientVersion: "SSH-1.5-x"},
		"version with a line end":    {HostKey: verifier, ClientVersion: "SSH-2.0-x\r\n"},
		"version beyond ASCII":       {HostKey: verifier, ClientVersion: "SSH-2.0-ü"},
		"version without software":   {HostKey: verifier, ClientVersion: "SSH-2.0-"},
		"long version":               {HostKey: verifier, ClientVersion: "SSH-2.0-" + string(make([]byte, 250))},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := sshtest.Pipe()
			c := transport.Client(near, config)
			err := c.Handshake(t.Context())
			require.ErrorContains(t, err, "transport: Config.")
			requireEnded(t, c, err)
			_, err = c.ReadPacket()
			require.ErrorContains(t, err, "Config.", "the cause is kept")
			sent, err := io.ReadAll(far)
			require.NoError(t, err)
			require.Empty(t, sent)
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	config := transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), Ciphers: []string{"aes128-gcm@openssh.com"}}
	c := transport.Client(dial(t, scripted(t, honest)), &config)
	config.Ciphers[0], config.HostKey = "none", nil
	require.NoError(t, c.Handshake(t.Context()))
	require.NoError(t, c.Close())
}

func TestBeforeTheHandshake(t *testing.T) {
	c := client(t, transport.Config{}, drain)
	_, err := c.ReadPacket()
	require.ErrorContains(t, err, "transport: no handshake")
	require.Nil(t, c.SessionID())
	require.Zero(t, c.State())
	_, ok := c.Extension("server-sig-algs")
	require.False(t, ok)
	require.NoError(t, c.Close())
	requireEnded(t, c, net.ErrClosed)
	require.ErrorIs(t, c.Handshake(t.Context()), net.ErrClosed)
}

func TestSecondHandshakeReturnsTheResultOfTheFirst(t *testing.T) {
	c := connected(t, transport.Config{}, nil, drain)
	require.NoError(t, c.Handshake(t.Context()))
	c = client(t, transport.Config{}, func(p *sshtest.Peer) { p.Version = "SSH-1.5-old"; p.Handshake() })
	first := c.Handshake(t.Context())
	require.Error(t, first)
	require.True(t, errors.Is(c.Handshake(t.Context()), first))
}

func TestAddressesAreThoseOfTheConnectionBelow(t *testing.T) {
	near, far := sshtest.Pipe()
	c := transport.Client(near, nil)
	require.Equal(t, near.RemoteAddr(), c.RemoteAddr())
	require.Equal(t, far.RemoteAddr(), c.LocalAddr())
	require.NoError(t, c.Close())
}
