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
	modes := ssh.TerminalModes{ssh.VINTR: 3, ssh.ECHO: 0, ssh.TTY_OP_ISPEED: 14400, 0: 9, 160: 1, 255: 1}
	pty := channel.PTY{Term: "vt100", Size: channel.Size{Columns: 132, Rows: 43, Width: 1056, Height: 0x01020304}, Modes: modes}
	for name, test := range map[string]struct {
		do      func(ctx context.Context, s *channel.Session) error
		request string
		payload string
		reply   bool
	}{
		"pty": {
			func(ctx context.Context, s *channel.Session) error { return s.RequestPTY(ctx, pty) },
			"pty-req", str("vt100") + "\x00\x00\x00\x84\x00\x00\x00\x2b\x00\x00\x04\x20\x01\x02\x03\x04" +
				str("\x01\x00\x00\x00\x03"+"\x35\x00\x00\x00\x00"+"\x80\x00\x00\x38\x40"+"\x00"), true,
		},
		"window change": {
			func(ctx context.Context, s *channel.Session) error {
				return s.Resize(ctx, channel.Size{Columns: 1, Rows: 2, Width: 3, Height: 4})
			},
			"window-change", "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04", false,
		},
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

// C16
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

// C16
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
		require.ErrorContains(t, s.Start(context.Background(), strings.Repeat("x", 300<<10)), "too long")
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
