package nacre_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

func TestConfigIsCheckedBeforeDialling(t *testing.T) {
	key := transport.FixedHostKey()
	for name, test := range map[string]struct {
		target string
		config *nacre.Config
		want   string
	}{
		"no config":   {"u@h", nil, "HostKey is not set"},
		"no host key": {"u@h", new(nacre.Config), "HostKey is not set"},
		"no user":     {"h", &nacre.Config{HostKey: key}, "user is missing"},
		"option":      {"u@-oProxyCommand=x", &nacre.Config{HostKey: key}, `the host "-oProxyCommand=x" is not allowed`},
		"shell":       {"u;x@h", &nacre.Config{HostKey: key}, `the user "u;x" is not allowed`},
	} {
		if test.config != nil {
			test.config.Dial = func(context.Context, string, string) (net.Conn, error) { panic("dialled") }
		}
		client, err := nacre.Dial(t.Context(), test.target, test.config)
		require.Nil(t, client, name)
		require.ErrorContains(t, err, test.want, name)
		require.NotErrorAs(t, err, new(*nacre.Error))
	}
}

// H16: a banner reaches the caller without control characters.
func TestBanner(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Banner: "Be\x1b[2J good\r\nto it\n"})
	var banner string
	client := dial(t, s, func(c *nacre.Config) {
		c.Dial = s.DialContext
		c.Banner = func(message string) { banner += message }
	})
	require.Equal(t, "Be[2J good\nto it\n", banner)
	require.NoError(t, client.Close())
	dial(t, s, func(c *nacre.Config) { c.Dial = s.DialContext }) // nil drops the banner
}

func TestLargePackets(t *testing.T) {
	for _, size := range []int{-1, 0, 1000, 32 << 10, 100 << 10, 128 << 10, 1 << 20, 1 << 40} {
		client := dial(t, sshtest.NewServer(t, nil), func(c *nacre.Config) { c.Connection.MaxPacket = size })
		out, err := client.Command(t.Context(), "head -c 1000000 /dev/zero").Output()
		require.NoError(t, err)
		require.Len(t, out, 1_000_000)
	}
}

// AuthTrace gets the refused attempt and the successful attempt, with its method.
func TestAuthTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		c := config(s)
		c.Dial = s.DialContext
		c.Auth = []userauth.Method{userauth.Password("wrong"), userauth.PublicKeys(s.Signer)}
		var attempts []userauth.Attempt
		c.AuthTrace = func(a userauth.Attempt) { attempts = append(attempts, a) }
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		require.Len(t, attempts, 2)
		require.Equal(t, userauth.Failure, attempts[0].Status)
		require.Equal(t, "publickey", attempts[1].Method)
		require.Equal(t, userauth.Success, attempts[1].Status)
	})
}

// counter counts the channel data of the layers above the transport.
type counter struct {
	*transport.Conn
	read, written *atomic.Int64 // bytes of channel data
}

func (r counter) ReadPacket() ([]byte, error) {
	p, err := r.Conn.ReadPacket()
	if err == nil && p[0] == 94 {
		r.read.Add(int64(len(p) - 9))
	}
	return p, err
}

func (r counter) WritePacket(p []byte) error {
	if p[0] == 94 {
		r.written.Add(int64(len(p) - 9))
	}
	return r.Conn.WritePacket(p)
}

// A layer between the transport and the layers above sees every packet, early
// packets and direct writes included, in both directions.
func TestWrappedTransportSeesEveryPacket(t *testing.T) {
	onTargets(t, func(t *testing.T, s *sshtest.Server) {
		const size = 8 << 20
		for name, run := range map[string]func(c *nacre.Config) *nacre.Cmd{
			"early": func(c *nacre.Config) *nacre.Cmd { return nacre.Command(t.Context(), s.Target, c, "cat") },
			"dialled": func(c *nacre.Config) *nacre.Cmd {
				client, err := nacre.Dial(t.Context(), s.Target, c)
				require.NoError(t, err)
				t.Cleanup(func() { client.Close() })
				return client.Command(t.Context(), "cat")
			},
		} {
			var read, written atomic.Int64
			c := config(s)
			c.WrapTransport = func(t *transport.Conn) nacre.Transport { return counter{t, &read, &written} }
			cmd := run(c)
			cmd.Stdin = bytes.NewReader(make([]byte, size))
			out, err := cmd.Output()
			require.NoError(t, err, name)
			require.Len(t, out, size)
			require.EqualValues(t, size, written.Load(), name)
			require.EqualValues(t, size, read.Load(), name)
			require.NotNil(t, cmd.Client.Transport())
		}
	})
}

// bare has no more than the methods of a Transport: every optional power is gone.
type bare struct{ nacre.Transport }

func TestTransportWithoutOptionalPowers(t *testing.T) {
	onTargets(t, func(t *testing.T, s *sshtest.Server) {
		c := config(s)
		c.WrapTransport = func(t *transport.Conn) nacre.Transport { return bare{t} }
		cmd := nacre.Command(t.Context(), s.Target, c, "cat")
		cmd.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Len(t, out, 1<<20)
	})
}

// A handler in the Config is in force before the server's first packet, however
// late the caller gets to the client.
func TestHandlersInTheConfigMissNothing(t *testing.T) {
	for range 20 {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Script: func(p *wire.Peer) {
			p.Login()
			p.Send(wire.ChannelOpenMsg{Type: "hello@example.com", Sender: 7, Window: 1, MaxPacket: 1})
			p.Send(wire.GlobalRequestMsg{Name: "hello@example.com", WantReply: true})
			p.Receive(81, 91) // in either order, for the handlers run side by side
			p.Receive(81, 91)
			p.Drain()
		}})
		opened, asked := make(chan string, 1), make(chan string, 1)
		c := config(s)
		c.Dial = s.DialContext
		c.Connection.HandleOpen = map[string]connection.OpenFunc{"hello@example.com": func(_ context.Context, o *connection.Open) {
			opened <- o.Type()
			_, _ = o.Accept(nil)
		}}
		c.Connection.HandleRequest = map[string]connection.RequestFunc{"hello@example.com": func(_ context.Context, r *connection.Request) ([]byte, bool) {
			asked <- r.Name
			return nil, true
		}}
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		require.Equal(t, "hello@example.com", <-opened)
		require.Equal(t, "hello@example.com", <-asked)
		require.NoError(t, client.Close())
	}
}
