package nacre_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// phase returns the error of Dial, after checks of the parts common to all phases.
func phase(t *testing.T, op string, err error) *nacre.Error {
	t.Helper()
	var e *nacre.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, op, e.Op)
	require.NotEmpty(t, e.Addr)
	require.True(t, strings.HasPrefix(err.Error(), "nacre: "+op+" "+e.Addr+": "), err.Error())
	require.NotContains(t, err.Error(), "\n")
	return e
}

func TestErrorsTellThePhase(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
	attempt := func(t *testing.T, change func(*nacre.Config)) error {
		c := config(s)
		c.Dial = s.DialContext
		change(c)
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.Nil(t, client)
		return err
	}
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	t.Run("dial", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, free.Close())
		_, err = nacre.Dial(t.Context(), "u@"+free.Addr().String(), config(s))
		e := phase(t, "dial", err)
		require.Equal(t, free.Addr().String(), e.Addr)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.False(t, e.Timeout())
		err = attempt(t, func(c *nacre.Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errBroken }
		})
		phase(t, "dial", err)
		require.ErrorIs(t, err, errBroken)
	})
	t.Run("host key", func(t *testing.T) {
		err := attempt(t, func(c *nacre.Config) { c.HostKey = transport.FixedHostKey(other.PublicKey()) })
		phase(t, "handshake", err)
		var refused *transport.HostKeyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, s.HostKey.Marshal(), refused.Key.Marshal())

		err = attempt(t, func(c *nacre.Config) { c.HostKey = knownhosts.Parse("hosts", nil) })
		phase(t, "handshake", err)
		var unknown *knownhosts.KeyError
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, knownhosts.Unknown, unknown.Kind)
		require.Equal(t, s.Addr, unknown.Addr)
	})
	t.Run("negotiation", func(t *testing.T) {
		err := attempt(t, func(c *nacre.Config) { c.Transport.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA512} })
		phase(t, "handshake", err)
		var none *transport.NegotiationError
		require.ErrorAs(t, err, &none)
		require.Equal(t, []string{ssh.KeyAlgoED25519}, none.Theirs)
	})
	t.Run("server that is none", func(t *testing.T) {
		for _, says := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-1.5-old\r\n", "SSH-2.0-x\r\n\x00\x00"} {
			err := attempt(t, func(c *nacre.Config) {
				c.Dial = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := sshtest.Pipe()
					_, err := io.WriteString(theirs, says)
					theirs.(interface{ CloseWrite() error }).CloseWrite()
					return ours, err
				}
			})
			require.False(t, phase(t, "handshake", err).Timeout())
		}
	})
	t.Run("authentication", func(t *testing.T) {
		err := attempt(t, func(c *nacre.Config) {
			c.Auth = []userauth.Method{userauth.PublicKeys(other), userauth.Password("hunter2")}
		})
		phase(t, "authenticate", err)
		var denied *userauth.Error
		require.ErrorAs(t, err, &denied)
		require.Equal(t, s.User, denied.User)
		require.Len(t, denied.Tried, 2)
		require.NotContains(t, err.Error(), "hunter2")
		phase(t, "authenticate", attempt(t, func(c *nacre.Config) { c.Auth = nil }))
	})
}

// watched is a connection that closes a channel when closed.
type watched struct {
	net.Conn
	closed chan struct{}
}

func (w *watched) Close() error {
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	return w.Conn.Close()
}

// The end of the context ends every phase at once, and the error says why. Neither
// a connection is left nor a goroutine: the bubble would notice.
func TestContextEndsEveryPhase(t *testing.T) {
	untilEnd := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, test := range map[string]struct {
		op     string
		change func(c *nacre.Config, dial func() net.Conn)
	}{
		"dial": {"dial", func(c *nacre.Config, _ func() net.Conn) {
			c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, untilEnd(ctx) }
		}},
		"server that says nothing": {"handshake", func(c *nacre.Config, _ func() net.Conn) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, _ := sshtest.Pipe()
				return ours, nil
			}
		}},
		"host key": {"handshake", func(c *nacre.Config, _ func() net.Conn) {
			c.HostKey = transport.HostKeyFunc(func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
				return untilEnd(ctx)
			})
		}},
		"method": {"authenticate", func(c *nacre.Config, _ func() net.Conn) {
			c.Auth = []userauth.Method{userauth.PasswordFunc(func(ctx context.Context, _ int) (string, error) {
				return "", untilEnd(ctx)
			})}
		}},
		"server that does not answer": {"authenticate", func(c *nacre.Config, dial func() net.Conn) {
			server := new(deaf)
			c.Auth = []userauth.Method{deafening{userauth.Password("any"), server}}
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				server.Conn = dial()
				server.deaf.Store(false)
				return server, nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
				c := config(s)
				c.Dial = s.DialContext
				test.change(c, func() net.Conn {
					nc, err := s.DialContext(t.Context(), "", "")
					require.NoError(t, err)
					return nc
				})
				var below *watched
				dial := c.Dial
				c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					if err == nil {
						below = &watched{nc, make(chan struct{})}
						return below, nil
					}
					return nil, err
				}
				begin := time.Now()
				enough := errors.New("enough")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, enough)
				defer cancel()
				_, err := nacre.Dial(ctx, s.Target, c)
				require.Equal(t, 5*time.Second, time.Since(begin))
				require.True(t, phase(t, test.op, err).Timeout())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, enough)
				if test.op != "dial" {
					<-below.closed
				}

				ctx, stop := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { stop(enough) })
				_, err = nacre.Dial(ctx, s.Target, c)
				require.False(t, phase(t, test.op, err).Timeout())
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, enough)
			})
		})
	}
}

// deaf is a connection to a server that hears nothing once deaf is set.
type deaf struct {
	net.Conn
	deaf atomic.Bool
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.deaf.Load() {
		return len(p), nil
	}
	return d.Conn.Write(p)
}

// deafening is a method that makes its server deaf when tried.
type deafening struct {
	userauth.Method
	server *deaf
}

func (d deafening) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	d.server.deaf.Store(true)
	return d.Method.Try(ctx, x)
}

// V1: Dial gives up a silent server after two minutes, even if the caller has set
// no deadline.
func TestServerHasTwoMinutesForTheLogin(t *testing.T) {
	for op, change := range map[string]func(c *nacre.Config, dial func() net.Conn){
		"handshake": func(c *nacre.Config, _ func() net.Conn) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, _ := sshtest.Pipe()
				return ours, nil
			}
		},
		"authenticate": func(c *nacre.Config, dial func() net.Conn) {
			server := &deaf{Conn: dial()}
			c.Auth = []userauth.Method{deafening{userauth.Password("any"), server}}
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return server, nil }
		},
	} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
				c := config(s)
				change(c, func() net.Conn {
					nc, err := s.DialContext(t.Context(), "", "")
					require.NoError(t, err)
					return nc
				})
				begin := time.Now()
				_, err := nacre.Dial(t.Context(), s.Target, c)
				require.Equal(t, 2*time.Minute, time.Since(begin))
				require.True(t, phase(t, op, err).Timeout())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorAs(t, err, new(*transport.BudgetError))
			})
		})
	}
}

func TestPersonHasMoreThanTwoMinutesForTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		c := config(s)
		c.Dial = s.DialContext
		c.Auth = []userauth.Method{userauth.PasswordFunc(func(context.Context, int) (string, error) {
			time.Sleep(time.Hour)
			return s.Password, nil
		})}
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		require.NoError(t, client.Close())
	})
}

// A server that exceeds its budget would do so again: Dial makes no second
// connection, although messages of the first had left early.
func TestServerThatTakesTooMuchIsNotTriedAgain(t *testing.T) {
	for op, limit := range map[string]transport.Config{
		"handshake":    {LoginPackets: 1},
		"authenticate": {LoginPackets: 5},
	} {
		t.Run(op, func(t *testing.T) {
			s := sshtest.OpenSSH(t, nil)
			c := remembering(s, &nacre.ServerState{KeyExchanges: []string{"curve25519-sha256"}})
			c.Transport = limit
			c.Transport.KeyExchanges = []string{"curve25519-sha256"}
			_, connections := counting(c, shortWay)
			_, err := nacre.Dial(t.Context(), s.Target, c)
			require.False(t, phase(t, op, err).Timeout())
			require.ErrorAs(t, err, new(*transport.BudgetError))
			require.Equal(t, 1, connections())
		})
	}
}

func TestContextOfDialEndsWithDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		c := config(s)
		var network, addr string
		c.Dial = func(ctx context.Context, n, a string) (net.Conn, error) {
			network, addr = n, a
			return s.DialContext(ctx, n, a)
		}
		ctx, cancel := context.WithCancel(t.Context())
		client, err := nacre.Dial(ctx, s.User+"@[2001:db8::1]:2222", c)
		require.NoError(t, err)
		defer client.Close()
		require.Equal(t, "tcp", network)
		require.Equal(t, "[2001:db8::1]:2222", addr)
		cancel()
		synctest.Wait()
		require.NoError(t, client.Command(t.Context(), "true").Run())
	})
}
