package nacre_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// waits are all calls of this package that can wait, see package waittest.
var waits = waittest.Calls{
	"Dial, for the connection below": dials(func(c *nacre.Config, _ *deaf) {
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, nil),
	"Dial, for the server": dials(func(c *nacre.Config, d *deaf) { d.deaf.Store(true) }, io.ErrUnexpectedEOF),
	"Dial, for the verifier": dials(func(c *nacre.Config, _ *deaf) {
		c.HostKey = transport.HostKeyFunc(func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}, nil),
	"Dial, for a method": dials(func(c *nacre.Config, _ *deaf) {
		c.Auth = []userauth.Method{userauth.PasswordFunc(func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})}
	}, nil),
	"Dial, for the answer to a method": dials(func(c *nacre.Config, d *deaf) {
		c.Auth = []userauth.Method{deafening{userauth.Password("any"), d}}
	}, io.ErrUnexpectedEOF),

	"Client.Wait": func(t *testing.T) waittest.Blocked {
		q := newQuiet(t)
		b := q.blocked(func(context.Context) error { return q.Wait() })
		b.Context = false
		b.Ends[0].Want, b.Ends[1].Want = nil, []error{io.ErrUnexpectedEOF}
		return b
	},
	"Client.Session": asks(func(c *nacre.Client, ctx context.Context) error { _, err := c.Session(ctx); return err }),
	"Client.DialContext": asks(func(c *nacre.Client, ctx context.Context) error {
		_, err := c.DialContext(ctx, "tcp", "h:1")
		return err
	}),
	"Client.Listen": asks(func(c *nacre.Client, ctx context.Context) error { _, err := c.Listen(ctx, "tcp", "h:1"); return err }),

	"Cmd.Start, for the answer": asks(func(c *nacre.Client, ctx context.Context) error { return c.Command(ctx, "x").Start() }),
	"Cmd.Start, for the environment": asks(func(c *nacre.Client, ctx context.Context) error {
		cmd := c.Command(ctx, "x")
		cmd.Env = []string{"A=b"}
		return cmd.Start()
	}),
	"Cmd.Start, dialling": func(t *testing.T) waittest.Blocked {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		c := config(s)
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			ours, theirs := sshtest.Pipe()
			t.Cleanup(func() { theirs.Close() })
			return ours, nil
		}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return nacre.Command(ctx, s.Target, c, "x").Start()
		}}
	},
	"Cmd.Run, for the answer":    asks(func(c *nacre.Client, ctx context.Context) error { return c.Command(ctx, "x").Run() }),
	"Cmd.Output, for the answer": asks(func(c *nacre.Client, ctx context.Context) error { _, err := c.Command(ctx, "x").Output(); return err }),
	"Cmd.CombinedOutput, for the answer": asks(func(c *nacre.Client, ctx context.Context) error {
		_, err := c.Command(ctx, "x").CombinedOutput()
		return err
	}),
	"Cmd.Run":            runs(func(cmd *nacre.Cmd) error { return cmd.Run() }),
	"Cmd.Output":         runs(func(cmd *nacre.Cmd) error { _, err := cmd.Output(); return err }),
	"Cmd.CombinedOutput": runs(func(cmd *nacre.Cmd) error { _, err := cmd.CombinedOutput(); return err }),
	"Cmd.Wait": runs(func(cmd *nacre.Cmd) error {
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Wait()
	}),
	"Cmd.Wait, for a Stdin that waits": runs(func(cmd *nacre.Cmd) error {
		cmd.Stdin = neverReader{cmd}
		return cmd.Run()
	}),

	"stdinPipe.Write, for Start":     pipes(func(p *pipes3) error { _, err := p.stdin.Write([]byte("x")); return err }),
	"stdinPipe.ReadFrom, for Start":  pipes(func(p *pipes3) error { _, err := p.stdin.(io.ReaderFrom).ReadFrom(strings.NewReader("x")); return err }),
	"outputPipe.Read, for Start":     pipes(func(p *pipes3) error { _, err := p.stdout.Read(make([]byte, 1)); return err }),
	"outputPipe.WriteTo, for Start":  pipes(func(p *pipes3) error { _, err := p.stderr.(io.WriterTo).WriteTo(io.Discard); return err }),
	"stdinPipe.Write":                piped(func(p *pipes3) error { return fillPipe(p.stdin) }),
	"stdinPipe.ReadFrom":             piped(func(p *pipes3) error { _, err := p.stdin.(io.ReaderFrom).ReadFrom(zeros{}); return err }),
	"outputPipe.Read":                piped(func(p *pipes3) error { _, err := p.stdout.Read(make([]byte, 1)); return err }),
	"outputPipe.Read, of the errors": piped(func(p *pipes3) error { _, err := p.stderr.Read(make([]byte, 1)); return err }),
	"outputPipe.WriteTo":             piped(func(p *pipes3) error { _, err := p.stdout.(io.WriterTo).WriteTo(io.Discard); return err }),
}

// C21: the end of a context, a Close or a lost connection ends every wait.
func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// dials has Dial wait. lost is the error of a lost connection, and nil where Dial
// would not notice the loss.
func dials(change func(c *nacre.Config, d *deaf), lost error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		c := config(s)
		c.Memory = nacre.NoMemory{}
		d := new(deaf)
		c.Dial = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
			d.Conn, err = s.DialContext(ctx, network, addr)
			return d, err
		}
		change(c, d)
		b := waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			client, err := nacre.Dial(ctx, s.Target, c)
			if err == nil {
				client.Close()
			}
			return err
		}}
		if lost != nil {
			b.Ends = []waittest.End{{Name: "loss of the connection", By: s.CloseClientConnections, Want: []error{lost}}}
		}
		return b
	}
}

// quiet is a client whose server can be made deaf.
type quiet struct {
	*nacre.Client
	server *sshtest.Server
	below  *deaf
}

func newQuiet(t *testing.T) *quiet {
	q := &quiet{below: new(deaf)}
	q.server = sshtest.NewServer(t, &sshtest.Options{InMemory: true, Handlers: map[string]sshtest.HandlerFunc{
		"forever": func(x *sshtest.Session) int { <-x.Done(); return -1 },
	}})
	q.Client = dial(t, q.server, func(c *nacre.Config) {
		c.Dial = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
			q.below.Conn, err = q.server.DialContext(ctx, network, addr)
			return q.below, err
		}
	})
	return q
}

func (q *quiet) blocked(do func(ctx context.Context) error) waittest.Blocked {
	return waittest.Blocked{Context: true, Do: do, Ends: []waittest.End{
		{Name: "Close of the client", By: func() { q.Close() }, Want: []error{net.ErrClosed}, Within: 50 * time.Millisecond},
		{Name: "loss of the connection", By: q.server.CloseClientConnections, Want: []error{io.ErrUnexpectedEOF, net.ErrClosed}},
	}}
}

// asks makes do wait for an answer.
func asks(do func(c *nacre.Client, ctx context.Context) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		q := newQuiet(t)
		q.below.deaf.Store(true)
		return q.blocked(func(ctx context.Context) error { return do(q.Client, ctx) })
	}
}

// runs makes do wait for a command.
func runs(do func(cmd *nacre.Cmd) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		q := newQuiet(t)
		b := q.blocked(func(ctx context.Context) error {
			cmd := q.Command(ctx, "forever")
			cmd.WaitDelay = -1
			return do(cmd)
		})
		for i := range b.Ends {
			b.Ends[i].Want = append(b.Ends[i].Want, channel.ErrNoExitStatus)
		}
		return b
	}
}

// neverReader is an input without bytes, ending with its command.
type neverReader struct{ cmd *nacre.Cmd }

func (n neverReader) Read([]byte) (int, error) {
	<-n.cmd.Session.Done()
	return 0, io.EOF
}

// zeros is an input without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func fillPipe(w io.Writer) (err error) {
	for err == nil {
		_, err = w.Write(make([]byte, 1<<20))
	}
	return err
}

// pipes3 are the pipes of one command.
type pipes3 struct {
	cmd            *nacre.Cmd
	stdin          io.WriteCloser
	stdout, stderr io.ReadCloser
}

func newPipes(t *testing.T, cmd *nacre.Cmd) *pipes3 {
	p := &pipes3{cmd: cmd}
	var errs [3]error
	p.stdin, errs[0] = cmd.StdinPipe()
	p.stdout, errs[1] = cmd.StdoutPipe()
	p.stderr, errs[2] = cmd.StderrPipe()
	require.NoError(t, errors.Join(errs[:]...))
	return p
}

func (p *pipes3) close() {
	p.stdin.Close()
	p.stdout.Close()
	p.stderr.Close()
}

// pipes makes do wait for a Start that never comes, or fails.
func pipes(do func(p *pipes3) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		q := newQuiet(t)
		q.below.deaf.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		p := newPipes(t, q.Command(ctx, "x"))
		b := q.blocked(func(context.Context) error { return do(p) })
		b.Context = false
		b.Ends = []waittest.End{
			{Name: "end of the context", By: cancel, Want: []error{context.Canceled}},
			{Name: "Close of the pipe", By: p.close, Want: []error{net.ErrClosed}},
			{Name: "Start that fails", By: func() {
				go func() { _ = p.cmd.Start() }()
				synctest.Wait()
				q.server.CloseClientConnections()
			}, Want: []error{io.ErrUnexpectedEOF, net.ErrClosed}},
		}
		return b
	}
}

// piped makes do wait for the command at the other end of the pipes. The end of
// the context ends the session, and Wait says why.
func piped(do func(p *pipes3) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		q := newQuiet(t)
		ctx, cancel := context.WithCancel(t.Context())
		p := newPipes(t, q.Command(ctx, "forever"))
		p.cmd.WaitDelay = -1
		require.NoError(t, p.cmd.Start())
		b := q.blocked(func(context.Context) error { return do(p) })
		b.Context = false
		b.Ends = append(b.Ends,
			waittest.End{Name: "end of the context", By: cancel, Want: []error{net.ErrClosed}},
			waittest.End{Name: "Close of the pipe", By: p.close, Want: []error{net.ErrClosed}},
			waittest.End{Name: "Close of the session", By: func() { p.cmd.Session.Close() }, Want: []error{net.ErrClosed}})
		t.Cleanup(func() {
			cancel()
			_ = p.cmd.Wait()
		})
		return b
	}
}

// A Cancel that never returns holds up neither the session's end nor Wait.
func TestCancelThatDoesNotReturn(t *testing.T) {
	for delay, takes := range map[time.Duration]time.Duration{
		-1:        50 * time.Millisecond,
		0:         2 * time.Second,
		time.Hour: time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			never := make(chan struct{})
			defer close(never)
			cmd := newQuiet(t).Command(ctx, "forever")
			cmd.WaitDelay = delay
			cmd.Cancel = func() error { <-never; return nil }
			begin := time.Now()
			require.ErrorIs(t, cmd.Run(), context.DeadlineExceeded)
			require.Equal(t, time.Minute+takes, time.Since(begin))
		})
	}
}

// A closed client is not held by a timer, nor by a context that lives on.
func TestNothingHoldsAClientThatWasClosed(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := func() weak.Pointer[nacre.Client] {
		c := config(s)
		c.Connection.KeepAliveInterval = time.Hour
		client, err := nacre.Dial(ctx, s.Target, c)
		require.NoError(t, err)
		require.NoError(t, client.Command(ctx, "true").Run())
		cmd := client.Command(ctx, "sleep infinity")
		newPipes(t, cmd)
		require.NoError(t, cmd.Start())
		l, err := client.Listen(ctx, "tcp", "localhost:0")
		require.NoError(t, err)
		conn, err := client.DialContext(ctx, "tcp", s.Addr)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Hour)))
		require.NoError(t, client.Close())
		require.Error(t, cmd.Wait())
		require.NoError(t, l.Close())
		return weak.Make(client)
	}()
	require.True(t, waittest.Collected(client))
}
