package nacre_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// execWatch calls left when the request that runs a command leaves.
type execWatch struct {
	*transport.Conn
	left func()
}

func (w execWatch) WritePacket(p []byte) error {
	if p[0] == 98 && bytes.Contains(p[:min(len(p), 20)], []byte("exec")) {
		w.left()
	}
	return w.Conn.WritePacket(p)
}

// A context that ends between the request and its answer does not leave the
// command alone: the answer is awaited, and the command cancelled.
func TestCommandIsCancelledThoughItsAnswerIsOutstanding(t *testing.T) {
	s := sshtest.Dropbear(t, nil) // sshd sends no signals to commands of root
	for name, run := range map[string]func(ctx context.Context, c *nacre.Config, command string) error{
		"early": func(ctx context.Context, c *nacre.Config, command string) error {
			return nacre.Command(ctx, s.Target, c, command).Run()
		},
		"on a client": func(ctx context.Context, c *nacre.Config, command string) error {
			client, err := nacre.Dial(t.Context(), s.Target, c)
			require.NoError(t, err)
			defer client.Close()
			return client.Command(ctx, command).Run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			called := errors.New("called off")
			c := config(s)
			counting(c, shortWay)
			c.WrapTransport = func(t *transport.Conn) nacre.Transport {
				return execWatch{t, func() { cancel(called) }}
			}
			file := filepath.Join(t.TempDir(), "pid")
			err := run(ctx, c, "echo $$ >"+file+".new; mv "+file+".new "+file+"; exec sleep 1000")
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, called)
			require.NotErrorAs(t, err, new(*nacre.UncertainError))
			text, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				return // the signal was faster than the shell
			}
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			require.NoError(t, err)
			process, err := os.FindProcess(pid)
			require.NoError(t, err)
			gone := func() bool { return process.Signal(syscall.Signal(0)) != nil }
			require.Eventually(t, gone, time.Minute, 10*time.Millisecond)
		})
	}
}

// The answer is awaited for WaitDelay, and no longer.
func TestAnswerThatNeverComesAfterTheContextHasEnded(t *testing.T) {
	for name, test := range map[string]struct {
		delay, want time.Duration
	}{"default": {0, 2 * time.Second}, "longer": {time.Minute, time.Minute}, "none": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{
					InMemory: true, Script: func(p *wire.Peer) { p.Login(); p.AcceptChannel(); p.Drain() },
				})
				c := config(s)
				c.Dial = s.DialContext
				client, err := nacre.Dial(t.Context(), s.Target, c)
				require.NoError(t, err)
				defer client.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				cmd := client.Command(ctx, "true")
				cmd.WaitDelay = test.delay
				err = cmd.Run()
				require.ErrorAs(t, err, new(*nacre.UncertainError))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, time.Second+test.want, time.Since(begin))
			})
		})
	}
}

// A refusal that comes late is still a refusal: the command has not run for certain.
func TestRefusalAfterTheContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Script: func(p *wire.Peer) {
			p.Login()
			id, _ := p.AcceptChannel().Sender, p.Receive(98)
			time.Sleep(2 * time.Second)
			p.Send(wire.ChannelFailureMsg{Recipient: id})
			p.Drain()
		}})
		c := config(s)
		c.Dial = s.DialContext
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = client.Command(ctx, "true").Run()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorAs(t, err, new(*nacre.UncertainError))
	})
}

// After a refusal nothing is outstanding, so the end of the context ends the login at
// once, and the command does not run.
func TestRefusedLoginIsNotGraced(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	y := newTally(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := config(s)
	c.Auth = []userauth.Method{
		userauth.PublicKeys(sshtest.NewSigner(t, ssh.KeyAlgoED25519)), userauth.PublicKeys(s.Signer),
	}
	c.AuthTrace = func(a userauth.Attempt) {
		if a.Status == userauth.Failure {
			cancel()
		}
	}
	cmd := nacre.Command(ctx, s.Target, c, y.command())
	cmd.WaitDelay = time.Hour
	require.ErrorIs(t, cmd.Run(), context.Canceled)
	require.Zero(t, y.runs(t))
}

// A prompt of the login ends with the caller's context, and its error is that of the
// context: a deadline is no cancellation.
func TestPromptAfterARefusalEndsWithTheContext(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c := config(s)
	c.Auth = []userauth.Method{
		userauth.PublicKeys(sshtest.NewSigner(t, ssh.KeyAlgoED25519)),
		userauth.PasswordFunc(func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}),
		userauth.KeyboardInteractive(func(ctx context.Context, _ userauth.Challenge) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	}
	cmd := nacre.Command(ctx, s.Target, c, "true")
	cmd.WaitDelay = time.Hour
	err := cmd.Run()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)
}
