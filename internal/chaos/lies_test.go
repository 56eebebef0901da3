// Package chaos_test lets clients work with servers that do anything.
package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

func TestMain(m *testing.M) { sshtest.Main(m) }

var (
	firstSeed = flag.Uint64("seed", 1, "of the first server")
	seeds     = flag.Uint64("seeds", 60, "servers to try")
)

// patience is the time limit of each call of a client.
const patience = 20 * time.Second

// versions are servers for which the client sends nearly everything early, and
// others for which the client sends nothing early.
var versions = []string{"SSH-2.0-OpenSSH_9.9", "SSH-2.0-dropbear_2024.86", "SSH-2.0-Go", "SSH-2.0-x"}

// A server that has let us in may do anything, in any order: no call outlasts
// its time limit, nothing is left behind, no output is made up, and no command
// succeeds without the server's word.
func TestServersThatDoAnything(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { meet(t, seed) })
		})
	}
}

// user is the client of a chaotic server.
type user struct {
	*testing.T
	random  *rand.Rand
	server  *sshtest.Server
	config  *nacre.Config
	stories *stories
}

func meet(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	st := &stories{told: make(map[string][]*story)}
	lies, connections := []int{0, 5, 20, 60}[random.IntN(4)], uint64(0)
	var mu sync.Mutex
	server := sshtest.NewServer(t, &sshtest.Options{InMemory: true, Version: versions[random.IntN(len(versions))], Script: func(p *wire.Peer) {
		mu.Lock()
		connections++
		random := rand.New(rand.NewPCG(seed, connections))
		mu.Unlock()
		(&chaotic{Peer: p, random: random, stories: st, lies: lies}).run()
	}})
	u := &user{t, random, server, &nacre.Config{
		Dial:    server.DialContext,
		HostKey: transport.FixedHostKey(server.HostKeys...),
		Auth:    []userauth.Method{userauth.PublicKeys(server.Signer)},
	}, st}
	u.config.Connection.KeepAliveInterval = time.Second
	if random.IntN(2) == 0 {
		u.config.Transport.RekeyPackets = 20
	}
	for range 3 {
		cmd := u.command(nil)
		u.inTime("a command that dials", func(ctx context.Context) { u.run(ctx, cmd) })
		u.inTime("a client", u.useClient)
	}
}

// inTime fails if do takes much longer than its time limit.
func (u *user) inTime(what string, do func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(u.Context(), patience)
	defer cancel()
	begin := time.Now()
	do(ctx)
	// A command has 2 seconds to end, and a login no more than its budget.
	require.LessOrEqual(u, time.Since(begin), patience+3*time.Second, what)
}

// job is a command before its start.
type job struct {
	name   string
	make   func(ctx context.Context, name string) *nacre.Cmd
	stdin  string
	env    []string
	pty    bool
	option int
}

func (u *user) command(client *nacre.Client) *job {
	j := &job{name: fmt.Sprintf("command %d", u.random.Uint64()), option: u.random.IntN(3)}
	j.make = func(ctx context.Context, name string) *nacre.Cmd {
		if client != nil {
			return client.Command(ctx, name)
		}
		return nacre.Command(ctx, u.server.Target, u.config, name)
	}
	j.stdin = strings.Repeat("x", []int{0, 10, 20_000, 3 << 20}[u.random.IntN(4)])
	if u.random.IntN(3) == 0 {
		j.env = []string{"A=1", "B=2"}
	}
	j.pty = u.random.IntN(5) == 0
	return j
}

// run runs a command and compares the result with the server's story.
func (u *user) run(ctx context.Context, j *job) {
	cmd := j.make(ctx, j.name)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &stdout, &stderr, strings.NewReader(j.stdin)
	cmd.Env, cmd.EnvOptional, cmd.EnvFallback = j.env, j.option == 1, j.option == 2
	if j.pty {
		cmd.PTY = &channel.PTY{}
	}
	err := cmd.Run()
	said := u.stories.of(j.name)
	if len(said) > 1 {
		u.Errorf("%s has run twice", j.name)
	}
	var problems []string
	if len(said) == 0 { // the server has not read the command, or not under this name
		said = u.stories.of("")
		problems = append(problems, (&story{}).contradiction(ctx, err, stdout.Bytes(), stderr.Bytes()))
	}
	for _, st := range said {
		problems = append(problems, st.contradiction(ctx, err, stdout.Bytes(), stderr.Bytes()))
	}
	if j.option != 2 && !slices.Contains(problems, "") {
		u.Errorf("%s: %v; got %d and %d bytes, said was %v: %v", j.name, err, stdout.Len(), stderr.Len(), said, problems)
	}
}

// contradiction returns the difference between the result of a command and the
// server's story, or nothing.
func (s *story) contradiction(ctx context.Context, err error, stdout, stderr []byte) string {
	var exit *channel.ExitError
	exited := errors.As(err, &exit) && ctx.Err() == nil
	switch {
	case !bytes.HasPrefix(s.stdout, stdout) || !bytes.HasPrefix(s.stderr, stderr):
		return "output was made up"
	case err == nil && (len(s.statuses) == 0 || s.statuses[0] != 0 || !s.ended):
		return "the command has not ended well"
	case (err == nil || exited) && len(stdout)+len(stderr) != len(s.stdout)+len(s.stderr):
		return "there was more"
	case exited && exit.Signal == "" && (len(s.statuses) == 0 || int(s.statuses[0]) != exit.Status):
		return "the command has ended otherwise"
	}
	return ""
}

// useClient does several things at once on a connection.
func (u *user) useClient(ctx context.Context) {
	client, err := nacre.Dial(ctx, u.server.Target, u.config)
	if err != nil {
		return
	}
	var work sync.WaitGroup
	for range 3 {
		j := u.command(client)
		work.Go(func() { u.run(ctx, j) })
	}
	work.Go(func() { tunnel(ctx, client) })
	work.Go(func() { listen(ctx, client) })
	work.Go(func() { ask(ctx, client) })
	work.Wait()
	begin := time.Now()
	_ = client.Close()
	if took := time.Since(begin); took > 200*time.Millisecond {
		u.Errorf("Close took %v", took)
	}
	for name, after := range map[string]error{
		"Session":     second(client.Session(ctx)),
		"DialContext": second(client.DialContext(u.Context(), "tcp", "x:1")),
		"Listen":      second(client.Listen(u.Context(), "tcp", "x:0")),
	} {
		if !errors.Is(after, net.ErrClosed) {
			u.Errorf("%s after Close: %v", name, after)
		}
	}
}

func second[V any](_ V, err error) error { return err }

func tunnel(ctx context.Context, client *nacre.Client) {
	c, err := client.DialContext(ctx, "tcp", "host:80")
	if err != nil {
		return
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	go func() { _, _ = c.Write(make([]byte, 100_000)) }()
	_, _ = io.Copy(io.Discard, c)
}

func listen(ctx context.Context, client *nacre.Client) {
	l, err := client.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("hello"))
		c.Close()
	}
}

func ask(ctx context.Context, client *nacre.Client) {
	for range 10 {
		_, err := client.Conn().Request(ctx, "x@example.com", []byte("question"))
		if err != nil && !errors.As(err, new(*connection.RequestError)) {
			return
		}
	}
}
