package nacre_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// servers are the implementations under the same suite. All run real commands by
// a POSIX shell.
var servers = []struct {
	name  string
	start func(*testing.T) *sshtest.Server
}{
	{"embedded", func(t *testing.T) *sshtest.Server { return sshtest.NewServer(t, &sshtest.Options{Exec: true}) }},
	{"openssh", func(t *testing.T) *sshtest.Server { return sshtest.OpenSSH(t, nil) }},
	{"dropbear", func(t *testing.T) *sshtest.Server { return sshtest.Dropbear(t, nil) }},
}

// onAll runs a test against every server, each time with a client of its own.
func onAll(t *testing.T, test func(*testing.T, *nacre.Client)) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) { test(t, dial(t, s.start(t), nil)) })
	}
}

// config returns a Config for a server of sshtest. The memory is a new one, because
// another test may have had a server with the same address.
func config(s *sshtest.Server) *nacre.Config {
	return &nacre.Config{
		Memory:  nacre.NewMemory(0),
		HostKey: transport.FixedHostKey(s.HostKeys...),
		Auth:    []userauth.Method{userauth.PublicKeys(s.Signer)},
	}
}

func dial(t *testing.T, s *sshtest.Server, change func(*nacre.Config)) *nacre.Client {
	t.Helper()
	c := config(s)
	if change != nil {
		change(c)
	}
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestCommandStreamsAndStatus(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		out, err := client.Command(t.Context(), "echo hello").Output()
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))

		out, err = client.Command(t.Context(), "echo out; echo err >&2; exit 3").Output()
		var exit *channel.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.Status)
		require.Equal(t, "err\n", string(exit.Stderr))
		require.Equal(t, "out\n", string(out))

		cmd := client.Command(t.Context(), "cat; echo done >&2")
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in"), &stdout, &stderr
		require.NoError(t, cmd.Run())
		require.Equal(t, "in", stdout.String())
		require.Equal(t, "done\n", stderr.String())

		both, err := client.Command(t.Context(), "echo one; echo two >&2").CombinedOutput()
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"one", "two"}, strings.Fields(string(both)))

		err = client.Command(t.Context(), "kill -TERM $$").Run()
		require.ErrorAs(t, err, &exit)
		require.Equal(t, ssh.SIGTERM, exit.Signal)
		require.Equal(t, -1, exit.Status)
	})
}

func TestPipes(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		cmd := client.Command(t.Context(), "cat; echo end >&2")
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		// As in os/exec's own example, the writer starts before the command.
		go func() {
			_, _ = io.WriteString(stdin, "through the pipe")
			stdin.Close()
		}()
		require.NoError(t, cmd.Start())
		out, err := io.ReadAll(stdout)
		require.NoError(t, err)
		require.Equal(t, "through the pipe", string(out))
		errs, err := io.ReadAll(stderr)
		require.NoError(t, err)
		require.Equal(t, "end\n", string(errs))
		require.NoError(t, cmd.Wait())
	})
}

// C17: a command may write without reading, and the other way round. There is no
// deadlock, and every byte arrives.
func TestBulkBothWaysAtOnce(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		data := make([]byte, 10<<20)
		rand.NewChaCha8([32]byte{}).Read(data)
		cmd := client.Command(t.Context(), "cat")
		h := sha256.New()
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), h
		require.NoError(t, cmd.Run())
		require.Equal(t, sha256.Sum256(data), [32]byte(h.Sum(nil)))
	})
}

// C17: Wait returns after the command's end, even if Stdin still blocks.
func TestWaitDoesNotHangOnUnreadStdin(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		r, w := io.Pipe() // never written to, never closed before the end
		defer w.Close()
		cmd := client.Command(t.Context(), "exit 4")
		cmd.Stdin = r
		var exit *channel.ExitError
		require.ErrorAs(t, cmd.Run(), &exit)
		require.Equal(t, 4, exit.Status)
	})
}

func TestEnv(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		cmd := client.Command(t.Context(), `cd / && echo "$NACRE_A|$NACRE_B"`)
		cmd.Env = []string{"NACRE_A=it's $HOME", "NACRE_B=two\nlines"}
		cmd.EnvFallback = true
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, "it's $HOME|two\nlines\n", string(out))
	})
}

func TestRefusedEnvIsAnErrorBeforeTheCommandRuns(t *testing.T) {
	client := dial(t, sshtest.OpenSSH(t, nil), nil)
	cmd := client.Command(t.Context(), "echo ran")
	var out strings.Builder
	cmd.Env, cmd.Stdout = []string{"NACRE_SECRET=hidden"}, &out
	err := cmd.Run()
	var refused *connection.RequestError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "NACRE_SECRET")
	require.NotContains(t, err.Error(), "hidden")
	require.Empty(t, out.String())
}

func TestPseudoTerminal(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		if strings.Contains(client.Transport().State().ServerVersion, "sshtest") {
			return // the terminal of this server is only pretended
		}
		cmd := client.Command(t.Context(), "stty size; stty -a; echo err >&2")
		cmd.PTY = &channel.PTY{
			Size:  channel.Size{Columns: 132, Rows: 43},
			Modes: ssh.TerminalModes{ssh.ECHO: 0, ssh.ICANON: 1},
		}
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "43 132")
		require.Contains(t, string(out), "-echo ")
		require.Contains(t, string(out), "err") // one stream for both
	})
}

func TestContextEndsTheCommand(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := client.Command(ctx, "echo up; trap '' TERM; sleep 600")
		cmd.WaitDelay = 50 * time.Millisecond // for a command that ignores the signal
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.ReadFull(stdout, make([]byte, 3))
		require.NoError(t, err)
		cancel()
		require.ErrorIs(t, cmd.Wait(), context.Canceled)

		// The connection still works.
		require.NoError(t, client.Command(t.Context(), "true").Run())

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, client.Command(ctx, "true").Run(), context.Canceled)
	})
}

func TestManySessionsOnOneConnection(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				data := bytes.Repeat([]byte{byte(i)}, 1<<20)
				cmd := client.Command(t.Context(), "cat")
				cmd.Stdin = bytes.NewReader(data)
				out, err := cmd.Output()
				if err == nil && !bytes.Equal(out, data) {
					err = errors.New("not what was sent")
				}
				errs[i] = err
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
}

func TestTunnels(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		// The request goes out through the server, and back in by a forwarded port.
		l, err := client.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "hello from "+r.URL.Path)
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		tr := &http.Transport{DialContext: client.DialContext}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String() + "/x")
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, "hello from /x", string(body))
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)

	})
}

func TestTunnelToNowhere(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = client.DialContext(t.Context(), "tcp", l.Addr().String())
		var refused *connection.OpenError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, connection.ConnectFailed, refused.Reason)
	})
}

func TestClosedListenerFreesItsPort(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		if strings.Contains(client.Transport().State().ServerVersion, "dropbear") {
			return // up to 2022.83 at least, Dropbear does not find the forwarding
		}
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, free.Close())
		for range 2 {
			l, err := client.Listen(t.Context(), "tcp", free.Addr().String())
			require.NoError(t, err)
			require.Equal(t, free.Addr().String(), l.Addr().String())
			require.NoError(t, l.Close())
		}
	})
}

func TestForwardedConnectionIsANetConn(t *testing.T) {
	onAll(t, func(t *testing.T, client *nacre.Client) {
		target, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer target.Close()
		conn, err := client.DialContext(t.Context(), "tcp", target.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, target.Addr().String(), conn.RemoteAddr().String())
		peer, err := target.Accept()
		require.NoError(t, err)
		defer peer.Close()

		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err = conn.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.NoError(t, conn.SetReadDeadline(time.Time{}))

		_, err = io.WriteString(conn, "ping")
		require.NoError(t, err)
		require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "ping", string(got))
		_, err = io.WriteString(peer, "pong")
		require.NoError(t, err)
		peer.Close()
		got, err = io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "pong", string(got))
	})
}

func TestJumpThroughAnotherServer(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			bastion := dial(t, s.start(t), nil)
			client := dial(t, sshtest.NewServer(t, nil), func(c *nacre.Config) { c.Dial = bastion.DialContext })
			out, err := client.Command(t.Context(), "echo inside").Output()
			require.NoError(t, err)
			require.Equal(t, "inside\n", string(out))
		})
	}
}

// The client asks for new keys every few packets, while data flows both ways and
// channels come and go.
func TestRekeyUnderLoad(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			client := dial(t, s.start(t), func(c *nacre.Config) { c.Transport.RekeyBytes = 100 << 10 })
			rekeyUnderLoad(t, client)
		})
	}
}

func TestRekeyByTheServerUnderLoad(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{Exec: true, Config: ssh.Config{RekeyThreshold: 100 << 10}})
		rekeyUnderLoad(t, dial(t, s, nil))
	})
	t.Run("openssh", func(t *testing.T) {
		s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"RekeyLimit 100K"}})
		rekeyUnderLoad(t, dial(t, s, nil))
	})
	t.Run("both at once", func(t *testing.T) {
		s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"RekeyLimit 64K"}})
		rekeyUnderLoad(t, dial(t, s, func(c *nacre.Config) { c.Transport.RekeyBytes = 64 << 10 }))
	})
}

func rekeyUnderLoad(t *testing.T, client *nacre.Client) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			data := make([]byte, 1<<20)
			rand.NewChaCha8([32]byte{byte(i)}).Read(data)
			cmd := client.Command(t.Context(), "cat")
			cmd.Stdin = bytes.NewReader(data)
			out, err := cmd.Output()
			if err == nil && !bytes.Equal(out, data) {
				err = errors.New("not what was sent")
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Greater(t, client.Transport().State().Exchanges, 3)
}
