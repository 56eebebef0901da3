package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

func TestHandshakeWithTheScriptedServer(t *testing.T) {
	for name, lax := range map[string]bool{"strict": false, "not strict": true} {
		t.Run(name, func(t *testing.T) {
			c := connected(t, transport.Config{}, func(p *wire.Peer) { p.Lax = lax }, func(p *wire.Peer) {
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

// V1: a server that says nothing. V2: a server with a byte each second, in each
// stage of the handshake. The deadline covers the whole handshake.
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
	stages := map[string]func(p *wire.Peer){
		"silent server":    drain,
		"dripped version":  func(p *wire.Peer) { drip(p, []byte("SSH-2.0-slow"+string(make([]byte, 10000)))) },
		"dripped preamble": func(p *wire.Peer) { dripForever(p, []byte("hello\r\n")) },
		"dripped KEXINIT": func(p *wire.Peer) {
			p.SendRaw([]byte("SSH-2.0-x\r\n"))
			drip(p, append([]byte{0, 0, 0x40, 4, 4, 20}, make([]byte, 0x4000)...))
		},
		"ignores for ever": func(p *wire.Peer) {
			p.SendRaw([]byte("SSH-2.0-x\r\n"))
			dripForever(p, p.Seal([]byte{2, 0, 0, 0, 0}))
		},
		"no reply": func(p *wire.Peer) { p.SendVersion(); p.SendKexInit(); p.Drain() },
		"dripped KEX reply": func(p *wire.Peer) {
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
func drip(p *wire.Peer, b []byte) {
	for i := range b {
		time.Sleep(time.Second)
		p.SendRaw(b[i : i+1])
	}
}

func dripForever(p *wire.Peer, b []byte) {
	for {
		drip(p, b)
	}
}

func TestEndedContextIsNoticedAtOnce(t *testing.T) {
	cause := errors.New("the deployment was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	c := client(t, transport.Config{}, drain)
	err := c.Handshake(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	requireEnded(t, c, err)
}

// A second call waits for the first by its own context.
func TestContextOfASecondHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, transport.Config{}, drain)
		go func() { _ = c.Handshake(context.Background()) }()
		synctest.Wait()
		cause := errors.New("the deployment was called off")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		err := c.Handshake(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, net.ErrClosed, "the first goes on")
	})
}

func TestSecondHandshakeReturnsTheResultOfTheFirst(t *testing.T) {
	c := connected(t, transport.Config{}, nil, drain)
	require.NoError(t, c.Handshake(t.Context()))
	c = client(t, transport.Config{}, func(p *wire.Peer) { p.Version = "SSH-1.5-old"; p.Handshake() })
	first := c.Handshake(t.Context())
	require.Error(t, first)
	require.True(t, errors.Is(c.Handshake(t.Context()), first))
}

func TestHandshakeIsThreeWrites(t *testing.T) {
	_, below := counted(t, drain)
	require.Equal(t, 3, below.count(), "version and KEXINIT, first message of the method, NEWKEYS")
}

func TestWaitForVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []bool{false, true} {
			near, far := sshtest.Pipe()
			below := &counter{Conn: near}
			c := transport.Client(below, &transport.Config{
				HostKey:        transport.FixedHostKey(hostKey().PublicKey()),
				WaitForVersion: wait,
			})
			done := make(chan error, 1)
			go func() { done <- c.Handshake(t.Context()) }()
			synctest.Wait()
			require.Equal(t, !wait, below.count() == 1, "nobody has heard of the server yet")
			go scripted(t, honest).ServeConn(far)
			require.NoError(t, <-done)
			require.NoError(t, c.Close())
		}
	})
}

func TestHandshakeWhoseVerifierPanicsIsNoSuccess(t *testing.T) {
	c := transport.Client(dial(t, scripted(t, honest)), &transport.Config{
		HostKey: transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error { panic("no") }),
	})
	defer c.Close()
	require.Panics(t, func() { _ = c.Handshake(t.Context()) })
	require.Error(t, c.Handshake(t.Context()))
}

func TestWarningOfAnExchangeThatIsNotPostQuantum(t *testing.T) {
	for kex, want := range map[string]int{"mlkem768x25519-sha256": 0, curve: 1} {
		var warned []transport.State
		config := &ssh.ServerConfig{}
		config.AddHostKey(hostKey())
		c := connect(t, config, transport.Config{
			HostKey: transport.FixedHostKey(hostKey().PublicKey()), KeyExchanges: []string{kex},
			WarnWeakCrypto: func(s transport.State) { warned = append(warned, s) },
		})
		require.Len(t, warned, want)
		require.Equal(t, want == 0, c.State().PostQuantum())
		if want > 0 {
			require.Equal(t, c.State(), warned[0])
		}
	}
	require.False(t, transport.State{}.PostQuantum())
}
