package nacre_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// The tests of this file tell which commands are repeated on a second connection,
// which are not, and which are uncertain.

func wrongKeys(t *testing.T, n int) (signers []ssh.Signer) {
	for range n {
		signers = append(signers, sshtest.NewSigner(t, ssh.KeyAlgoED25519))
	}
	return signers
}

func TestInputSurvivesASecondConnection(t *testing.T) {
	s := sshtest.Dropbear(t, nil)
	wrong := wrongKeys(t, 1)[0]
	for name, in := range map[string]func() io.Reader{
		"little": func() io.Reader { return strings.NewReader("precious input") },
		"much":   func() io.Reader { return strings.NewReader(strings.Repeat("x", 1<<20)) },
	} {
		c := remembering(s, &nacre.ServerState{Key: userauth.KeyName(wrong.PublicKey()), KeyOnly: true})
		c.Auth = []userauth.Method{userauth.PublicKeys(wrong), userauth.PublicKeys(s.Signer)}
		_, connections := counting(c, shortWay)
		cmd := nacre.Command(t.Context(), s.Target, c, "cat")
		cmd.Stdin = in()
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, 2, connections())
		want, _ := io.ReadAll(in())
		require.True(t, string(want) == string(out), name)
	}
}

func TestInputIsTakenWhenTheCommandHasStarted(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	in := strings.NewReader("skipped input")
	_, err := in.Seek(8, io.SeekStart)
	require.NoError(t, err)
	c := config(s)
	c.Auth = []userauth.Method{userauth.PublicKeys(wrongKeys(t, 1)...)}
	cmd := nacre.Command(t.Context(), s.Target, c, "cat")
	cmd.Stdin = in
	require.Error(t, cmd.Start())
	require.Equal(t, 5, in.Len())

	cmd = nacre.Command(t.Context(), s.Target, config(s), "cat")
	cmd.Stdin = in
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "input", string(out))
	require.Zero(t, in.Len())
}

func TestFewTriesAreEnoughIfTheyAreInOrder(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 4"}})
	wrong := wrongKeys(t, 5)
	c := config(s)
	c.Auth = []userauth.Method{userauth.PublicKeys(append(append(wrong[:3:3], s.Signer), wrong[3:]...)...)}
	_, connections := counting(c, shortWay)
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	client.Close()
	require.Equal(t, 2, connections())
}

func TestWhoIsRefusedDoesNotComeAgain(t *testing.T) {
	for name, test := range map[string]struct {
		config []string
		known  bool // one of the keys has been good before
		keys   int
		asked  int // attempts, or prompts
	}{
		"six keys":      {nil, false, 6, 6},
		"ten keys":      {nil, false, 10, 6},
		"revoked key":   {nil, true, 10, 6},
		"one try":       {[]string{"MaxAuthTries 1"}, false, 1, 1},
		"few tries":     {[]string{"MaxAuthTries 3"}, false, 8, 5}, // in one flight
		"and passwords": {[]string{"MaxAuthTries 2", "PasswordAuthentication yes"}, false, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: test.config})
			keys := wrongKeys(t, test.keys)
			c := config(s)
			if test.known {
				c = remembering(s, &nacre.ServerState{Key: userauth.KeyName(keys[7].PublicKey()), KeyOnly: true})
			}
			c.Auth = []userauth.Method{userauth.PublicKeys(keys...)}
			asked := 0
			if test.keys == 0 {
				c.Auth = []userauth.Method{userauth.PasswordFunc(func(context.Context, int) (string, error) {
					asked++
					return "wrong", nil
				})}
			} else {
				c.AuthTrace = func(userauth.Attempt) { asked++ }
			}
			_, connections := counting(c, shortWay)
			err := nacre.Command(t.Context(), s.Target, c, "true").Run()
			require.ErrorAs(t, err, new(*userauth.Error))
			require.NotErrorAs(t, err, new(*nacre.UncertainError), "the server has said that it is over")
			require.Equal(t, 1, connections())
			require.Equal(t, test.asked, asked)
		})
	}
}

// A server that ends the connection because of early packets gets none the next
// time.
func TestServerThatDoesNotBearEarlyPacketsIsSpared(t *testing.T) {
	s := sshtest.Dropbear(t, nil)
	wrong := wrongKeys(t, 1)[0]
	c := remembering(s, &nacre.ServerState{Key: userauth.KeyName(wrong.PublicKey()), KeyOnly: true})
	c.Auth = []userauth.Method{userauth.PublicKeys(wrong), userauth.PublicKeys(s.Signer)}
	_, connections := counting(c, shortWay)
	requireOneRun(t, s, c)
	require.Equal(t, 2, connections())
	state, _ := c.Memory.Get(s.Target)
	require.Equal(t, 1, state.Losses)
	requireOneRun(t, s, c)
	require.Equal(t, 3, connections())
}

func TestKeyIsRememberedForWhatItWasWorth(t *testing.T) {
	for _, factors := range [][]string{{"publickey"}, {"publickey", "password"}, {"password"}} {
		s := sshtest.NewServer(t, &sshtest.Options{Factors: factors})
		c := config(s)
		c.Memory = nacre.NewMemory(0)
		c.Auth = append(c.Auth, userauth.Password(s.Password))
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		client.Close()
		state, ok := c.Memory.Get(s.Target)
		require.True(t, ok)
		require.Equal(t, factors[0] == "publickey", state.Key == userauth.KeyName(s.Signer.PublicKey()))
		require.Equal(t, len(factors) == 1 && factors[0] == "publickey", state.KeyOnly)
	}
}

func TestServerThatHangsUpOnAnExpectedKeyExchange(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := remembering(s, &nacre.ServerState{KeyExchanges: []string{"curve25519-sha256"}})
	var lost atomic.Int32
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &impatient{Conn: nc, lost: &lost}, err
	}
	requireOneRun(t, s, c)
	require.EqualValues(t, 1, lost.Load())
	state, _ := c.Memory.Get(s.Target)
	require.Equal(t, 1, state.Losses)
	requireOneRun(t, s, c)
	require.EqualValues(t, 1, lost.Load(), "it was remembered")
}

// A loss makes the memory careful for some logins, and not for good: a reset on the
// path would cost round trips for ever.
func TestMemoryForgivesALoss(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	requireTrips(t, []int{6, 6, 6, 6, 2, 2}, func(rtt time.Duration) (trips []int) {
		c := remembering(s, &nacre.ServerState{KeyExchanges: transportNames(t, s), Key: userauth.KeyName(s.Signer.PublicKey()), KeyOnly: true, Losses: 1})
		roundTrips, _ := counting(c, rtt)
		for range 6 {
			trips = append(trips, oneShot(t, s, c, roundTrips))
		}
		return trips
	})
}

// transportNames returns the server's key exchanges, as a memory has them.
func transportNames(t *testing.T, s *sshtest.Server) []string {
	client := dial(t, s, nil)
	return client.Transport().State().ServerKeyExchanges
}

// Two servers that share an address, each reached by a Dial of its own, and the memory
// as well: after the first wrong guess there is none for a while.
func TestServersThatShareAMemory(t *testing.T) {
	one := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"KexAlgorithms curve25519-sha256"}})
	two := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"KexAlgorithms ecdh-sha2-nistp256"}})
	memory, dials := nacre.NewMemory(0), 0
	for i := range 9 {
		s := []*sshtest.Server{one, two}[i%2]
		c := config(s)
		c.Memory = memory
		c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, network, s.Addr)
		}
		client, err := nacre.Dial(t.Context(), one.Target, c)
		require.NoError(t, err)
		require.NoError(t, client.Close())
	}
	require.LessOrEqual(t, dials, 9+2)
}

// impatient is a connection to a server that hangs up on an early key exchange. If
// the client's first write has a first message of X25519, behind the version and
// KEXINIT, the client reads the server's version and then the end.
type impatient struct {
	net.Conn
	lost *atomic.Int32
	once sync.Once
	mine bool
}

func (c *impatient) Write(p []byte) (int, error) {
	c.once.Do(func() { c.mine = strings.Count(string(p), "\x1e\x00\x00\x00\x20") > 0 })
	return c.Conn.Write(p)
}

func (c *impatient) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.mine && strings.HasPrefix(string(p[:n]), "SSH-2.0-") {
		line := strings.Index(string(p[:n]), "\n") + 1
		return line, err
	}
	if c.mine {
		c.lost.Add(1)
		return 0, io.EOF
	}
	return n, err
}

// firstRefused returns a config whose first proof is refused, so the early packets
// leave once more when the second proof is granted. then is called at the grant.
func firstRefused(t *testing.T, s *sshtest.Server, then func()) *nacre.Config {
	c := config(s)
	c.Auth = []userauth.Method{userauth.PublicKeys(wrongKeys(t, 1)...), userauth.PublicKeys(s.Signer)}
	c.AuthTrace = func(a userauth.Attempt) {
		if a.Status == userauth.Success && a.Err == nil {
			then()
		}
	}
	return c
}

// breaking is a connection whose writes arrive, but fail once now is set.
type breaking struct {
	net.Conn
	now *atomic.Bool
}

func (b breaking) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if b.now.Load() {
		err = errors.New("the network went away")
	}
	return n, err
}

func TestWriteThatFailsBehindAuthenticationIsInDoubt(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	var now atomic.Bool
	c := firstRefused(t, s, func() { now.Store(true) })
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return breaking{nc, &now}, err
	}
	err := nacre.Command(t.Context(), s.Target, c, "true").Run()
	require.ErrorAs(t, err, new(*nacre.UncertainError))
	require.ErrorContains(t, err, "the network went away")
}

// stalling is a connection whose writes wait for Close once now is set.
type stalling struct {
	net.Conn
	now  *atomic.Bool
	gone chan struct{}
	once *sync.Once
}

func (s stalling) Write(p []byte) (int, error) {
	if s.now.Load() {
		<-s.gone
		return 0, io.ErrClosedPipe
	}
	return s.Conn.Write(p)
}

func (s stalling) Close() error {
	s.once.Do(func() { close(s.gone) })
	return s.Conn.Close()
}

func TestContextEndsAWriteBehindAuthentication(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var now atomic.Bool
	c := firstRefused(t, s, func() {
		now.Store(true)
		time.AfterFunc(10*time.Millisecond, cancel)
	})
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return stalling{nc, &now, make(chan struct{}), new(sync.Once)}, err
	}
	err := nacre.Command(ctx, s.Target, c, "true").Run()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorAs(t, err, new(*nacre.UncertainError))
}

func TestKeyExchangeThatIsDueRightBehindAuthentication(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := firstRefused(t, s, func() {})
	c.Transport.RekeyPackets = 1
	requireOneRun(t, s, c)
}

// A refused first session ends the connection to OpenSSH, as documented at
// Client.Command. With DisableEarly, or after a call of Conn, the connection lives.
func TestClientAfterARefusedFirstCommand(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxSessions 0"}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for name, use := range map[string]func(c *nacre.Config, client *nacre.Client){
		"DisableEarly": func(c *nacre.Config, _ *nacre.Client) { c.DisableEarly = true },
		"not first":    func(_ *nacre.Config, client *nacre.Client) { client.Conn() },
	} {
		c := config(s)
		use(c, new(nacre.Client))
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err, name)
		use(c, client)
		require.ErrorAs(t, client.Command(t.Context(), "true").Run(), new(*connection.OpenError), name)
		nc, err := client.DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err, name)
		nc.Close()
		client.Close()
	}
	client := dial(t, s, nil)
	require.ErrorAs(t, client.Command(t.Context(), "true").Run(), new(*connection.OpenError))
	require.ErrorAs(t, client.Wait(), new(*transport.DisconnectError))
}

func TestSecondConnectionThatCannotBeDialled(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := remembering(s, &nacre.ServerState{KeyExchanges: []string{"ecdh-sha2-nistp521"}})
	broken := errors.New("no more connections")
	dialled := 0
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled++; dialled > 1 {
			return nil, broken
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	y := newTally(t)
	err := nacre.Command(t.Context(), s.Target, c, y.command()).Run()
	require.ErrorIs(t, err, broken)
	require.NotErrorAs(t, err, new(*nacre.UncertainError))
	require.Zero(t, y.runs(t))
	state, ok := c.Memory.Get(s.Target)
	require.True(t, ok, "only a login changes the memory")
	require.Equal(t, []string{"ecdh-sha2-nistp521"}, state.KeyExchanges)
}

func TestClientOfTheCallersIsNotClosed(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	client := dial(t, s, nil)
	cmd := nacre.Command(t.Context(), s.Target, config(s), "true")
	cmd.Client = client
	require.NoError(t, cmd.Run())
	require.NoError(t, client.Command(t.Context(), "true").Run())
}
