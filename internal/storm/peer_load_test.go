package storm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

const (
	echoes = 10       // channels with data both ways all the time
	ahead  = 16 << 10 // bytes of each on their way, at most
	window = 8 << 10  // of each channel; the server mostly waits for more
)

// load is the work of a client while the storm blows.
type load struct {
	client *nacre.Client
	until  time.Time     // ends the work, once everything below has happened often enough
	opens  int           // goroutines for opening and closing channels
	rekey  time.Duration // between the calls of Rekey, from several goroutines

	exchanges int // at least

	bytes   atomic.Int64 // echoed
	visits  atomic.Int64 // channels opened and closed
	leaves  atomic.Int64 // the same, with data under way
	replies atomic.Int64 // global requests
	heap    uint64       // its largest size, in bytes

	group  sync.WaitGroup
	failed atomic.Bool
	stop   context.CancelCauseFunc
}

// clientConfig is for a client whose connections go through dial, with small
// windows.
func clientConfig(s *sshtest.Server, dial func(context.Context, string, string) (net.Conn, error)) *nacre.Config {
	return &nacre.Config{
		Dial:       dial,
		HostKey:    transport.FixedHostKey(s.HostKeys...),
		Auth:       []userauth.Method{userauth.PublicKeys(s.Signer)},
		Transport:  transport.Config{KeyExchanges: []string{"ecdh-sha2-nistp256", "curve25519-sha256"}},
		Connection: connection.Config{Window: window, MaxWindow: -1, KeepAliveInterval: 15 * time.Second},
	}
}

// dial returns a client with new keys every few kilobytes.
func dial(t *testing.T, s *sshtest.Server, rtt time.Duration) *nacre.Client {
	t.Helper()
	c := clientConfig(s, through(s, rtt))
	c.Transport.RekeyBytes = 4 << 10
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// run returns when all work begun in time is done.
func (l *load) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	l.stop = stop
	for n := range echoes {
		l.begin(func() error { return (&echo{load: l, n: n}).run(ctx) })
	}
	for range l.opens {
		l.again(func() error { return l.visit(ctx) })
		l.again(func() error { return l.leave(ctx) })
	}
	for range 2 {
		l.again(func() error { return l.ask(ctx) })
		l.again(l.exchange)
	}
	l.group.Wait()
	require.NoError(t, context.Cause(ctx))
}

func (l *load) begin(f func() error) {
	l.group.Go(func() {
		if err := f(); err != nil {
			l.failed.Store(true)
			l.stop(err)
		}
	})
}

// over reports whether the time has passed and everything has happened. However
// slow the machine is, the work goes on before, unless something has failed.
func (l *load) over() bool {
	return l.failed.Load() || !time.Now().Before(l.until) &&
		(l.opens == 0 || l.visits.Load() > 0 && l.leaves.Load() > 0) &&
		l.replies.Load() > 0 && l.bytes.Load() > echoes*window &&
		l.client.Transport().State().Exchanges > l.exchanges
}

// again begins a piece of work, over and over.
func (l *load) again(f func() error) {
	l.begin(func() error {
		for !l.over() {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	})
}

// visit runs a short command.
func (l *load) visit(ctx context.Context) error {
	out, err := l.client.Command(ctx, "echo hello").Output()
	if err == nil && string(out) != "hello\n" {
		err = fmt.Errorf("echo hello says %q", out)
	}
	l.visits.Add(1)
	return err
}

// leave closes a channel while data flow both ways.
func (l *load) leave(ctx context.Context) error {
	s, err := l.client.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Start(ctx, "cat"); err != nil {
		return err
	}
	if _, err := s.Write(make([]byte, 2*window)); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, make([]byte, window/2)); err != nil {
		return err
	}
	l.leaves.Add(1)
	return nil
}

// ask makes a global request. All servers refuse the request.
func (l *load) ask(ctx context.Context) error {
	_, err := l.client.Conn().Request(ctx, "storm@example.com", nil)
	if err == nil {
		return fmt.Errorf("an unknown request was granted")
	}
	l.replies.Add(1)
	if _, refused := err.(*connection.RequestError); !refused {
		return err
	}
	return nil
}

// exchange has several goroutines ask for new keys at once.
func (l *load) exchange() error {
	<-time.After(l.rekey)
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 8 {
		group.Go(func() {
			if err := l.client.Transport().Rekey(); err != nil {
				failed.Store(&err)
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// echo is a channel whose data come back, from a command that reads no more
// than its own output lets go.
type echo struct {
	*load
	n int

	mu             sync.Mutex
	moved          sync.Cond
	sent, received int
	failed         bool
}

func (e *echo) run(ctx context.Context) error {
	e.moved.L = &e.mu
	cmd := e.client.Command(ctx, "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	want, wrote := sha256.New(), make(chan error, 1)
	go func() { wrote <- e.write(in, want) }()
	got, err := e.read(out)
	if err == nil {
		err = <-wrote
	} else {
		in.Close()
		<-wrote
	}
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case err != nil:
		return fmt.Errorf("echo %d, %d bytes sent, %d received: %w", e.n, e.sent, e.received, err)
	case e.sent != e.received || !bytes.Equal(got.Sum(nil), want.Sum(nil)):
		return fmt.Errorf("echo %d: %d bytes sent, and %d others received", e.n, e.sent, e.received)
	}
	return nil
}

// write sends pieces of all sizes, never too far ahead of the reader.
func (e *echo) write(in io.WriteCloser, sum hash.Hash) error {
	defer in.Close()
	source, sizes := rand.NewChaCha8([32]byte{byte(e.n)}), rand.New(rand.NewPCG(1, uint64(e.n)))
	piece := make([]byte, 3<<10)
	for !e.over() {
		p := piece[:1+sizes.IntN(len(piece))]
		source.Read(p)
		sum.Write(p)
		if !e.pass(len(p)) {
			return nil // the reader tells why
		}
		if _, err := in.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// pass waits until n bytes may be sent.
func (e *echo) pass(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.sent-e.received > ahead && !e.failed {
		e.moved.Wait()
	}
	e.sent += n
	return !e.failed
}

// read reads pieces of all sizes.
func (e *echo) read(out io.Reader) (sum hash.Hash, err error) {
	sum = sha256.New()
	sizes := rand.New(rand.NewPCG(2, uint64(e.n)))
	piece := make([]byte, 8<<10)
	for err == nil {
		var n int
		n, err = out.Read(piece[:1+sizes.IntN(len(piece))])
		sum.Write(piece[:n])
		e.bytes.Add(int64(n))
		e.mu.Lock()
		e.received += n
		e.failed = err != nil
		e.moved.Broadcast()
		e.mu.Unlock()
	}
	if err == io.EOF {
		err = nil
	}
	return sum, err
}
