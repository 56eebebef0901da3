package channel_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

func TestRequestsGoOutInOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.session(c)
		ctx := t.Context()
		require.NoError(t, s.Setenv(ctx, "A", "1"))
		require.NoError(t, s.Setenv(ctx, "B", "2"))
		require.NoError(t, s.RequestPTY(ctx, channel.PTY{}))
		started := call(func() error { return s.Start(ctx, "uname -a") })
		for _, want := range []requestMsg{
			{theirID, "env", true, []byte(str("A") + str("1"))},
			{theirID, "env", true, []byte(str("B") + str("2"))},
			{theirID, "pty-req", true, []byte(str("xterm") + "\x00\x00\x00\x50\x00\x00\x00\x18" + "\x00\x00\x00\x00\x00\x00\x00\x00" + str("\x00"))},
			{theirID, "exec", true, []byte(str("uname -a"))},
		} {
			require.Equal(t, want, expect[requestMsg](p))
		}
		p.quiet()
		for range 4 {
			require.Empty(t, started)
			p.send(successMsg{id})
			synctest.Wait()
		}
		require.NoError(t, <-started)
	})
}

func TestPayloadsOfRequests(t *testing.T) {
	for name, test := range map[string]struct {
		do      func(ctx context.Context, s *channel.Session) error
		request string
		payload string
		reply   bool
	}{
		"signal": {
			func(ctx context.Context, s *channel.Session) error { return s.Signal(ctx, ssh.SIGUSR1) },
			"signal", str("USR1"), false,
		},
		"environment": {
			func(ctx context.Context, s *channel.Session) error { return s.Setenv(ctx, "N", "a=b\x00c") },
			"env", str("N") + str("a=b\x00c"), true,
		},
		"empty command": {
			func(ctx context.Context, s *channel.Session) error { return s.Start(ctx, "") },
			"exec", str(""), true,
		},
		"shell":     {func(ctx context.Context, s *channel.Session) error { return s.Shell(ctx) }, "shell", "", true},
		"subsystem": {func(ctx context.Context, s *channel.Session) error { return s.Subsystem(ctx, "sftp") }, "subsystem", str("sftp"), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.session(c)
				done := call(func() error { return test.do(t.Context(), s) })
				m := expect[requestMsg](p)
				require.Equal(t, test.request, m.Name)
				require.Equal(t, test.payload, string(m.Payload))
				require.Equal(t, test.reply, m.WantReply)
				p.send(successMsg{id})
				require.NoError(t, <-done)
			})
		})
	}
}

// C16: a refusal is an error of Start.
func TestRefusalIsAnErrorOfStart(t *testing.T) {
	environment := func(ctx context.Context, s *channel.Session) error { return s.Setenv(ctx, "NAME", "secret") }
	for name, test := range map[string]struct {
		before func(ctx context.Context, s *channel.Session) error
		start  func(ctx context.Context, s *channel.Session) error
		fails  int // the index of the answer
		want   string
		text   string
	}{
		"environment": {environment, nil, 0, "env", `environment variable "NAME"`},
		"terminal": {func(ctx context.Context, s *channel.Session) error { return s.RequestPTY(ctx, channel.PTY{}) },
			nil, 0, "pty-req", "pseudo-terminal"},
		"command":   {environment, nil, 1, "exec", "run the command"},
		"shell":     {environment, func(ctx context.Context, s *channel.Session) error { return s.Shell(ctx) }, 1, "shell", "run a shell"},
		"subsystem": {environment, func(ctx context.Context, s *channel.Session) error { return s.Subsystem(ctx, "x\n") }, 1, "subsystem", `"x\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.session(c)
				require.NoError(t, test.before(t.Context(), s))
				if test.start == nil {
					test.start = func(ctx context.Context, s *channel.Session) error { return s.Start(ctx, "cmd") }
				}
				started := call(func() error { return test.start(t.Context(), s) })
				for i := range 2 {
					require.Empty(t, started) // every answer is waited for
					expect[requestMsg](p)
					if i == test.fails {
						p.send(failureMsg{id})
					} else {
						p.send(successMsg{id})
					}
				}
				err := <-started
				var refused *connection.RequestError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, test.want, refused.Name)
				require.ErrorContains(t, err, test.text)
				require.NotContains(t, err.Error(), "secret")
				require.Equal(t, closeMsg{theirID}, expect[closeMsg](p))
			})
		})
	}
}

func TestRefusedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		opened := call(func() error { _, err := channel.NewSession(t.Context(), c); return err })
		p.send(openFailureMsg{expect[openMsg](p).Sender, 4, "no more sessions", ""})
		err := <-opened
		var refused *connection.OpenError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, connection.ResourceShortage, refused.Reason)
		require.ErrorContains(t, err, "open session")
	})
}

func TestSessionRunsOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.session(c)
		both := make(chan error, 2)
		for range 2 {
			go func() { both <- s.Start(context.Background(), "cmd") }()
		}
		expect[requestMsg](p)
		p.quiet() // only one of the two has sent anything
		require.ErrorContains(t, <-both, "has been started")
		p.send(successMsg{id})
		require.NoError(t, <-both)
		for _, f := range []func() error{
			func() error { return s.Start(t.Context(), "cmd") },
			func() error { return s.Shell(t.Context()) },
			func() error { return s.Setenv(t.Context(), "A", "b") },
			func() error { return s.RequestPTY(t.Context(), channel.PTY{}) },
		} {
			require.ErrorContains(t, f(), "has been started")
		}
		p.quiet() // and the session has not suffered
	})
}

// C16: the end of the context ends Start and closes the session.
func TestEndOfTheContext(t *testing.T) {
	cause := errors.New("enough")
	t.Run("in NewSession", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			ctx, cancel := context.WithCancel(t.Context())
			opened := call(func() error { _, err := channel.NewSession(ctx, c); return err })
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-opened, context.Canceled)
			p.confirm() // too late
			expect[closeMsg](p)
		})
	})
	t.Run("before Start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			s, _ := p.session(c)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, s.Start(ctx, "cmd"), context.Canceled)
			expect[closeMsg](p)
		})
	})
	t.Run("in Start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			s, id := p.session(c)
			ctx, cancel := context.WithCancelCause(t.Context())
			started := call(func() error { return s.Start(ctx, "cmd") })
			expect[requestMsg](p)
			cancel(cause)
			require.ErrorIs(t, <-started, context.Canceled)
			expect[closeMsg](p)
			p.send(successMsg{id}, closeMsg{id})
			p.quiet()
		})
	})
	t.Run("in Wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			s, id := p.command(c)
			ctx, cancel := context.WithCancel(t.Context())
			waited := call(func() error { return s.Wait(ctx) })
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-waited, context.Canceled)
			p.send(requestMsg{id, "exit-status", false, u32(0)}, closeMsg{id})
			require.NoError(t, s.Wait(t.Context()))
			for range 20 {
				require.NoError(t, s.Wait(ctx)) // the result is there, whatever became of ctx
			}
		})
	})
}

// No answer comes any more, and nobody is told later than at once.
func TestCloseEndsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.session(c)
		started := call(func() error { return s.Start(context.Background(), "cmd") })
		expect[requestMsg](p)
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Len(t, started, 1)
		require.ErrorIs(t, <-started, net.ErrClosed)
	})
}

func TestCommandThatIsTooLongIsAnErrorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.session(c)
		require.ErrorContains(t, s.Start(context.Background(), strings.Repeat("x", 300<<10)), "is longer than")
		expect[closeMsg](p)
	})
}

// The output and the end overtake the answer to the request.
func TestCommandThatHasRunWasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.session(c)
		started := call(func() error { return s.Start(t.Context(), "cmd") })
		expect[requestMsg](p)
		p.send(dataMsg{id, []byte("out")}, requestMsg{id, "exit-status", false, u32(3)}, eofMsg{id}, closeMsg{id})
		require.NoError(t, <-started)
		require.Equal(t, "out", readAll(t, s))
		var exit *channel.ExitError
		require.ErrorAs(t, s.Wait(t.Context()), &exit)
		require.Equal(t, 3, exit.Status)
	})
}

func TestSessionThatIsClosedInsteadOfStarted(t *testing.T) {
	for name, end := range map[string]func(p *peer, id uint32){
		"channel closed":  func(p *peer, id uint32) { p.send(closeMsg{id}) },
		"connection lost": func(p *peer, id uint32) { p.lose(os.ErrPermission) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.session(c)
				started := call(func() error { return s.Start(t.Context(), "cmd") })
				expect[requestMsg](p)
				end(p, id)
				require.ErrorIs(t, <-started, net.ErrClosed)
			})
		})
	}
}

func TestWaitTwiceAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.command(c)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { errs[i] = s.Wait(t.Context()) })
		}
		synctest.Wait()
		p.send(requestMsg{id, "exit-status", false, u32(7)}, closeMsg{id})
		wg.Wait()
		errs = append(errs, s.Wait(t.Context()))
		for i, err := range errs {
			var exit *channel.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 7, exit.Status)
			require.Nil(t, exit.Stderr)
			exit.Status, exit.Stderr = i, []byte("mine") // each caller has one of its own
		}
	})
}

// early has the client open a session and run a command, and returns the
// session's own number, once all of that was sent.
func (p *peer) early(c *connection.Conn) (*channel.Session, uint32) {
	p.t.Helper()
	s, err := channel.NewSessionEarly(p.t.Context(), c, theirID)
	require.NoError(p.t, err)
	require.NoError(p.t, s.RequestPTY(p.t.Context(), channel.PTY{}))
	require.NoError(p.t, s.Exec(p.t.Context(), "cat"))
	_, err = s.Write([]byte("input"))
	require.NoError(p.t, err)
	require.NoError(p.t, s.CloseWrite())
	id := expect[openMsg](p).Sender
	require.Equal(p.t, "pty-req", expect[requestMsg](p).Name)
	require.Equal(p.t, requestMsg{theirID, "exec", true, []byte(str("cat"))}, expect[requestMsg](p))
	require.Equal(p.t, dataMsg{theirID, []byte("input")}, expect[dataMsg](p))
	require.Equal(p.t, eofMsg{theirID}, expect[eofMsg](p))
	return s, id
}

func TestEarlySessionSendsEverythingBeforeAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.early(c)
		started := call(func() error { return s.WaitStart(t.Context()) })
		p.send(confirmMsg{id, theirID, 0, 32 << 10, nil}, successMsg{id})
		synctest.Wait()
		require.Empty(t, started)
		p.send(successMsg{id})
		require.NoError(t, <-started)
		require.NoError(t, s.WaitStart(t.Context()))
		p.send(dataMsg{id, []byte("output")}, eofMsg{id}, closeMsg{id})
		require.Equal(t, "output", readAll(t, s))
	})
}

func TestEarlySessionThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.early(c)
		p.send(openFailureMsg{id, 1, "no sessions", ""})
		for range 2 {
			var open *connection.OpenError
			require.ErrorAs(t, s.WaitStart(t.Context()), &open)
			require.Equal(t, "no sessions", open.Message)
		}
		require.ErrorAs(t, s.Wait(t.Context()), new(*connection.OpenError))
	})
}

// The name of the request shows whether the command itself was refused.
func TestRefusalOfTheCommandCountsMost(t *testing.T) {
	for name, test := range map[string]struct {
		terminal, command bool
		refused           string
	}{
		"terminal": {false, true, "pty-req"},
		"command":  {true, false, "exec"},
		"both":     {false, false, "exec"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.early(c)
				p.send(confirmMsg{id, theirID, 1 << 20, 32 << 10, nil})
				for _, granted := range []bool{test.terminal, test.command} {
					if granted {
						p.send(successMsg{id})
					} else {
						p.send(failureMsg{id})
					}
				}
				for range 2 {
					var refused *connection.RequestError
					require.ErrorAs(t, s.WaitStart(t.Context()), &refused)
					require.Equal(t, test.refused, refused.Name)
				}
				expect[closeMsg](p)
			})
		})
	}
}

func TestWaitStartEndsWithItsContextAndForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.early(c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.WaitStart(ctx), context.Canceled)
		require.ErrorIs(t, s.WaitStart(t.Context()), context.Canceled, "the session was closed")
	})
}

func TestNoEarlySessionOnALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		broken := errors.New("broken")
		p.lose(broken)
		require.ErrorIs(t, c.Wait(), broken)
		_, err := channel.NewSessionEarly(t.Context(), c, 0)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, broken)
	})
}

func TestEarlySessionRunsOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.early(c)
		require.ErrorContains(t, s.Exec(t.Context(), "again"), "has been started")
		require.ErrorContains(t, s.Setenv(t.Context(), "A", "1"), "has been started")
	})
}
