package nacre_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// daemons runs a test against each server that bears early messages.
func daemons(t *testing.T, run func(t *testing.T, s *sshtest.Server)) {
	t.Run("OpenSSH", func(t *testing.T) { run(t, sshtest.OpenSSH(t, nil)) })
	t.Run("Dropbear", func(t *testing.T) { run(t, sshtest.Dropbear(t, nil)) })
}

// onTargets runs a test against every server, without a client.
func onTargets(t *testing.T, run func(t *testing.T, s *sshtest.Server)) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) { run(t, s.start(t)) })
	}
}

// tally is a command that adds a line to a file at each run.
type tally string

func newTally(t *testing.T) tally { return tally(filepath.Join(t.TempDir(), "tally")) }

func (y tally) command() string { return "echo run >>" + string(y) + "; echo hello" }

// runs returns how often the command has run.
func (y tally) runs(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(string(y))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return strings.Count(string(b), "run\n")
}

// requireOneRun runs the command of a tally, and checks for exactly one run.
func requireOneRun(t *testing.T, s *sshtest.Server, c *nacre.Config) {
	t.Helper()
	y := newTally(t)
	out, err := nacre.Command(t.Context(), s.Target, c, y.command()).Output()
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(out))
	require.Equal(t, 1, y.runs(t))
}

// remembering returns a config whose memory has this state of a server.
func remembering(s *sshtest.Server, state *nacre.ServerState) *nacre.Config {
	c := config(s)
	c.Memory = nacre.NewMemory(0)
	c.Memory.Put(s.Target, state)
	return c
}

func TestServerThatHasChangedCostsOneConnection(t *testing.T) {
	daemons(t, func(t *testing.T, s *sshtest.Server) {
		wrong := &nacre.ServerState{KeyExchanges: []string{"ecdh-sha2-nistp521"}}
		c := remembering(s, wrong)
		_, connections := counting(c, shortWay)
		requireOneRun(t, s, c)
		require.Equal(t, 2, connections())
		state, ok := c.Memory.Get(s.Target)
		require.True(t, ok)
		require.Contains(t, state.KeyExchanges, "curve25519-sha256")
		require.Equal(t, userauth.KeyName(s.Signer.PublicKey()), state.Key)
		requireOneRun(t, s, c)
		require.Equal(t, 3, connections())

		c.Memory.Put(s.Target, wrong)
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		defer client.Close()
		require.Equal(t, 5, connections())
		require.NoError(t, client.Command(t.Context(), "true").Run())
	})
}

func TestWrongHostKeyIsFinal(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := config(s)
	requireOneRun(t, s, c)
	c.HostKey = transport.FixedHostKey(s.Signer.PublicKey())
	_, connections := counting(c, shortWay)
	y := newTally(t)
	err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
	require.ErrorAs(t, err, new(*transport.HostKeyError))
	require.Equal(t, 1, connections())
	require.Zero(t, y.runs(t))
}

func TestNothingIsRememberedOfALoginThatFailed(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := config(s)
	c.Memory = nacre.NewMemory(0)
	c.Auth = []userauth.Method{userauth.PublicKeys(sshtest.NewSigner(t, ssh.KeyAlgoED25519))}
	_, connections := counting(c, shortWay)
	y := newTally(t)
	err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
	require.ErrorAs(t, err, new(*userauth.Error))
	require.NotErrorAs(t, err, new(*nacre.UncertainError))
	_, ok := c.Memory.Get(s.Target)
	require.False(t, ok)
	require.Equal(t, 1, connections(), "who was refused for what he is does not come again")
	require.Zero(t, y.runs(t))
}

// A refused first proof takes the early packets behind the proof along. OpenSSH
// goes on. Dropbear ends the connection, so to Dropbear packets leave early only if
// the proof was good before.
func TestCommandBehindARefusedKeyRunsOnce(t *testing.T) {
	daemons(t, func(t *testing.T, s *sshtest.Server) {
		wrong := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
		auth := []userauth.Method{userauth.PublicKeys(wrong), userauth.PublicKeys(s.Signer)}
		c := config(s)
		c.Auth = auth
		_, connections := counting(c, shortWay)
		requireOneRun(t, s, c)
		require.Equal(t, 1, connections())

		c = remembering(s, &nacre.ServerState{Key: userauth.KeyName(wrong.PublicKey()), KeyOnly: true})
		c.Auth = auth
		_, connections = counting(c, shortWay)
		requireOneRun(t, s, c)
		want := map[string]int{"OpenSSH": 1, "Dropbear": 2}[filepath.Base(t.Name())]
		require.Equal(t, want, connections())
	})
}

func TestSecondFactorBehindEarlyPackets(t *testing.T) {
	second := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		AuthorizedKeys: []ssh.PublicKey{second.PublicKey()},
		Config:         []string{"AuthenticationMethods publickey,publickey"},
	})
	c := config(s)
	c.Auth = []userauth.Method{userauth.PublicKeys(s.Signer, second)}
	requireOneRun(t, s, c)
	requireOneRun(t, s, c)
}

func TestServerThatAllowsFewTriesIsAskedOneKeyAtATime(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 2"}})
	c := config(s)
	signers := []ssh.Signer{sshtest.NewSigner(t, ssh.KeyAlgoED25519), s.Signer}
	for range 4 {
		signers = append(signers, sshtest.NewSigner(t, ssh.KeyAlgoED25519))
	}
	c.Auth = []userauth.Method{userauth.PublicKeys(signers...)}
	_, connections := counting(c, shortWay)
	requireOneRun(t, s, c)
	require.Equal(t, 2, connections())
	requireOneRun(t, s, c)
	require.Equal(t, 3, connections())
}

func TestRefusedSession(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxSessions 0"}})
	c := config(s)
	_, connections := counting(c, shortWay)
	y := newTally(t)
	err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
	require.ErrorAs(t, err, new(*connection.OpenError))
	require.NotErrorAs(t, err, new(*nacre.UncertainError))
	require.Equal(t, 1, connections())
	require.Zero(t, y.runs(t))

	client := dial(t, s, nil)
	err = client.Command(t.Context(), y.command()).Run()
	require.ErrorAs(t, err, new(*connection.OpenError))
	require.NotErrorAs(t, err, new(*nacre.UncertainError))
	require.Zero(t, y.runs(t))
}

// cut is a connection that loses all bytes of the server once now is set.
type cut struct {
	net.Conn
	now *atomic.Bool
}

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.now.Load() {
		return 0, io.EOF
	}
	return n, err
}

// cutBefore is a method that cuts the connection before its first request.
type cutBefore struct {
	userauth.Method
	now *atomic.Bool
}

func (c cutBefore) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	c.now.Store(true)
	return c.Method.Try(ctx, x)
}

func cutting(c *nacre.Config) (now *atomic.Bool) {
	now = new(atomic.Bool)
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return cut{nc, now}, err
	}
	return now
}

func TestCommandIsNotRepeatedWhenItMayHaveRun(t *testing.T) {
	daemons(t, func(t *testing.T, s *sshtest.Server) {
		c := config(s)
		now := cutting(c)
		_, connections := counting(c, shortWay)
		c.Auth = []userauth.Method{cutBefore{c.Auth[0], now}}
		y := newTally(t)
		err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
		require.ErrorAs(t, err, new(*nacre.UncertainError))
		require.ErrorAs(t, err, new(*nacre.Error))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 1, connections())
		require.LessOrEqual(t, y.runs(t), 1)
	})
}

func TestCommandThatLeavesInItsTurnHasNotRunBeforeAuthentication(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := config(s)
	c.DisableEarly = true
	now := cutting(c)
	c.Auth = []userauth.Method{cutBefore{c.Auth[0], now}}
	y := newTally(t)
	err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
	require.ErrorAs(t, err, new(*nacre.Error))
	require.NotErrorAs(t, err, new(*nacre.UncertainError))
	require.Zero(t, y.runs(t))
}

func TestCommandOnAClientMayHaveRun(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	var now *atomic.Bool
	client := dial(t, s, func(c *nacre.Config) { now = cutting(c) })
	require.NoError(t, client.Command(t.Context(), "true").Run())
	session, err := client.Session(t.Context())
	require.NoError(t, err)
	defer session.Close()
	now.Store(true)
	err = client.Command(t.Context(), "true").Run()
	require.ErrorIs(t, err, net.ErrClosed)
	require.NotErrorAs(t, err, new(*nacre.UncertainError), "the session was not even open")
	err = client.Command(t.Context(), "true").Run()
	require.NotErrorAs(t, err, new(*nacre.UncertainError))

	client = dial(t, s, func(c *nacre.Config) { now = cutting(c) })
	now.Store(true)
	err = client.Command(t.Context(), "true").Run()
	require.ErrorAs(t, err, new(*nacre.UncertainError))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A single one of several first commands at once leaves early, addressed to the
// number 0, and no other command may take the number. Dropbear is left out: 2022.83
// loses sessions that begin at the same time, whatever the client.
func TestFirstCommandsAtOnce(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	for range 5 {
		client := dial(t, s, nil)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				out, err := client.Command(t.Context(), fmt.Sprint("echo ", i)).Output()
				if want := fmt.Sprintln(i); err != nil || string(out) != want {
					t.Errorf("%q, %v", out, err)
				}
			})
		}
		wg.Wait()
		client.Close()
	}
}

func TestCommandAfterSomethingElseTookTheFirstNumber(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	client := dial(t, s, nil)
	l, err := client.Listen(t.Context(), "tcp", "127.0.0.1:0") // a channel to sshd
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, client.Command(t.Context(), "true").Run())
}

func TestClientOfACommand(t *testing.T) {
	onTargets(t, func(t *testing.T, s *sshtest.Server) {
		cmd := nacre.Command(t.Context(), s.Target, config(s), "echo hello")
		cmd.KeepClient = true
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))
		defer cmd.Client.Close()
		require.NotEmpty(t, cmd.Client.Transport().State().ServerVersion)
		out, err = cmd.Client.Command(t.Context(), "echo again").Output()
		require.NoError(t, err)
		require.Equal(t, "again\n", string(out))

		cmd = nacre.Command(t.Context(), s.Target, config(s), "echo hello")
		require.NoError(t, cmd.Run())
		require.NoError(t, cmd.Client.Wait(), "closed by Wait")
	})
}

func TestCommandThatCannotBeDialled(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	for name, test := range map[string]struct {
		target string
		config *nacre.Config
		want   string
	}{
		"no config":   {s.Target, nil, "HostKey is not set"},
		"no host key": {s.Target, new(nacre.Config), "HostKey is not set"},
		"no user":     {"host", config(s), "user is missing"},
		"no server":   {"u@127.0.0.1:1", config(s), "nacre: dial 127.0.0.1:1: "},
	} {
		cmd := nacre.Command(t.Context(), test.target, test.config, "true")
		require.ErrorContains(t, cmd.Run(), test.want, name)
		require.Nil(t, cmd.Client, name)
		require.Error(t, cmd.Wait(), name)
	}
}

func TestStatusAndStderrOfACommandThatDials(t *testing.T) {
	onTargets(t, func(t *testing.T, s *sshtest.Server) {
		_, err := nacre.Command(t.Context(), s.Target, config(s), "exit 3").Output()
		require.ErrorAs(t, err, new(*channel.ExitError))
	})
}

func TestInputOfACommandThatDials(t *testing.T) {
	onTargets(t, func(t *testing.T, s *sshtest.Server) {
		for name, in := range map[string]string{
			"none":           "",
			"little":         "a few bytes",
			"just at hand":   strings.Repeat("x", 16<<10),
			"too much":       strings.Repeat("x", 16<<10+1),
			"several window": strings.Repeat("x", 5<<20),
		} {
			for _, r := range []io.Reader{strings.NewReader(in), io.LimitReader(strings.NewReader(in), 1<<30)} {
				cmd := nacre.Command(t.Context(), s.Target, config(s), "cat")
				cmd.Stdin = r
				out, err := cmd.Output()
				require.NoError(t, err, name)
				require.True(t, in == string(out), name)
			}
		}
		cmd := nacre.Command(t.Context(), s.Target, config(s), "cat")
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		go func() {
			_, _ = io.WriteString(in, "piped")
			in.Close()
		}()
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, "piped", string(out))
	})
}

func TestRefusedTerminal(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"PermitTTY no"}})
	y := newTally(t)
	cmd := nacre.Command(t.Context(), s.Target, config(s), y.command())
	cmd.PTY = new(channel.PTY)
	err := cmd.Run()
	var refused *connection.RequestError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "pty-req", refused.Name)
	require.ErrorAs(t, err, new(*nacre.UncertainError), "the command left with it")
}

func TestRefusedVariables(t *testing.T) {
	daemons(t, func(t *testing.T, s *sshtest.Server) {
		y := newTally(t)
		cmd := nacre.Command(t.Context(), s.Target, config(s), y.command())
		cmd.Env = []string{"REFUSED=1"}
		err := cmd.Run()
		var refused *connection.RequestError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "env", refused.Name)
		require.NotErrorAs(t, err, new(*nacre.UncertainError))
		require.Zero(t, y.runs(t))
	})
}

// No command waits for another: all of them run at once, or none would end.
func TestThousandCommandsAtOnce(t *testing.T) {
	const commands = 1000
	var running atomic.Int32
	met := make(chan struct{})
	s := sshtest.NewServer(t, &sshtest.Options{Handlers: map[string]sshtest.HandlerFunc{
		"meet": func(x *sshtest.Session) int {
			if running.Add(1) == commands {
				close(met)
			}
			select {
			case <-met:
				return 0
			case <-x.Done():
				return 1
			}
		},
	}})
	c := config(s)
	var wg sync.WaitGroup
	for range commands {
		wg.Go(func() {
			if err := nacre.Command(t.Context(), s.Target, c, "meet").Run(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
