package nacre_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// counting has a config's connections go through a slow link, and returns the
// counters of the latest connection's round trips and of the connections.
func counting(c *nacre.Config, rtt time.Duration) (roundTrips, connections func() int) {
	link := &sshtest.Link{RTT: rtt}
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	var mu sync.Mutex
	var conns []*sshtest.LinkConn
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, link.Conn(nc))
		return conns[len(conns)-1], nil
	}
	locked := func(f func() int) func() int {
		return func() int {
			mu.Lock()
			defer mu.Unlock()
			return f()
		}
	}
	return locked(func() int { return conns[len(conns)-1].RoundTrips() }), locked(func() int { return len(conns) })
}

// shortWay is the time of a round trip. The count is too high if a server takes
// longer to answer, as a daemon may on a busy machine.
const shortWay = 100 * time.Millisecond

// requireTrips checks the result of count for the short way and, as long as the
// result is wrong, for longer ways.
func requireTrips(t *testing.T, want []int, count func(rtt time.Duration) []int) {
	t.Helper()
	for _, rtt := range []time.Duration{shortWay, time.Second} {
		if slices.Equal(want, count(rtt)) {
			return
		}
	}
	require.Equal(t, want, count(5*time.Second))
}

// oneShot dials and runs a command, and returns the number of round trips, from
// the dialled connection to the command's status.
func oneShot(t *testing.T, s *sshtest.Server, c *nacre.Config, roundTrips func() int) int {
	t.Helper()
	out, err := nacre.Command(t.Context(), s.Target, c, "echo hello").Output()
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(out))
	return roundTrips()
}

func TestRoundTripsOfACommand(t *testing.T) {
	for name, test := range map[string]struct {
		server     func() *sshtest.Server
		cold, warm int
	}{
		"OpenSSH":  {func() *sshtest.Server { return sshtest.OpenSSH(t, nil) }, 3, 2},
		"Dropbear": {func() *sshtest.Server { return sshtest.Dropbear(t, nil) }, 3, 2},
		"x/crypto": {func() *sshtest.Server { return sshtest.NewServer(t, nil) }, 5, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.server()
			requireTrips(t, []int{test.cold, test.warm, test.cold}, func(rtt time.Duration) (trips []int) {
				c := config(s)
				roundTrips, connections := counting(c, rtt)
				trips = append(trips, oneShot(t, s, c, roundTrips), oneShot(t, s, c, roundTrips))
				require.Equal(t, 2, connections())
				c.Memory = nacre.NoMemory{}
				return append(trips, oneShot(t, s, c, roundTrips))
			})
		})
	}
}

func TestRoundTripsOfDialAndCommands(t *testing.T) {
	for name, test := range map[string]struct {
		server            func() *sshtest.Server
		cold, warm        int // of Dial
		command, commands int // of the first command, and of each further command
	}{
		"OpenSSH":  {func() *sshtest.Server { return sshtest.OpenSSH(t, nil) }, 3, 2, 1, 2},
		"Dropbear": {func() *sshtest.Server { return sshtest.Dropbear(t, nil) }, 3, 2, 1, 2},
		"x/crypto": {func() *sshtest.Server { return sshtest.NewServer(t, nil) }, 3, 2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.server()
			var want []int
			for _, dialling := range []int{test.cold, test.warm} {
				want = append(want, dialling, dialling+test.command, dialling+test.command+test.commands)
			}
			requireTrips(t, want, func(rtt time.Duration) (trips []int) {
				c := config(s)
				roundTrips, _ := counting(c, rtt)
				for range 2 {
					client, err := nacre.Dial(t.Context(), s.Target, c)
					require.NoError(t, err)
					trips = append(trips, roundTrips())
					for range 2 {
						require.NoError(t, client.Command(t.Context(), "true").Run())
						trips = append(trips, roundTrips())
					}
					client.Close()
				}
				return trips
			})
		})
	}
}

// Input, a terminal and optional variables leave in the command's flight, and cost
// no round trip. Only a replacement for refused variables has to wait.
func TestRoundTripsOfWhatGoesWithACommand(t *testing.T) {
	daemons(t, func(t *testing.T, s *sshtest.Server) {
		for name, test := range map[string]struct {
			change func(cmd *nacre.Cmd)
			more   int
		}{
			"input":             {func(cmd *nacre.Cmd) { cmd.Stdin = strings.NewReader("input") }, 0},
			"terminal":          {func(cmd *nacre.Cmd) { cmd.PTY = new(channel.PTY) }, 0},
			"optional variable": {func(cmd *nacre.Cmd) { cmd.Env, cmd.EnvOptional = []string{"REFUSED=1"}, true }, 0},
			"replaced variable": {func(cmd *nacre.Cmd) { cmd.Env, cmd.EnvFallback = []string{"REFUSED=1"}, true }, 1},
		} {
			t.Run(name, func(t *testing.T) {
				requireTrips(t, []int{3 + test.more, 2 + test.more}, func(rtt time.Duration) (trips []int) {
					c := config(s)
					roundTrips, _ := counting(c, rtt)
					for range 2 {
						cmd := nacre.Command(t.Context(), s.Target, c, "echo hello $REFUSED")
						test.change(cmd)
						out, err := cmd.Output()
						require.NoError(t, err)
						require.Contains(t, string(out), "hello")
						trips = append(trips, roundTrips())
					}
					return trips
				})
			})
		}
	})
}

func TestRoundTripsOfSeveralKeys(t *testing.T) {
	for name, test := range map[string]struct {
		server     func() *sshtest.Server
		cold, warm int
	}{
		"OpenSSH":  {func() *sshtest.Server { return sshtest.OpenSSH(t, nil) }, 4, 2},
		"Dropbear": {func() *sshtest.Server { return sshtest.Dropbear(t, nil) }, 4, 2},
		"x/crypto": {func() *sshtest.Server { return sshtest.NewServer(t, &sshtest.Options{Version: "SSH-2.0-Go"}) }, 6, 4},
		"unknown":  {func() *sshtest.Server { return sshtest.NewServer(t, nil) }, 9, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.server()
			var signers []ssh.Signer
			for range 3 {
				signers = append(signers, sshtest.NewSigner(t, ssh.KeyAlgoED25519))
			}
			signers = append(signers, s.Signer, sshtest.NewSigner(t, ssh.KeyAlgoED25519))
			requireTrips(t, []int{test.cold, test.warm}, func(rtt time.Duration) []int {
				c := config(s)
				c.Auth = []userauth.Method{userauth.PublicKeys(signers...)}
				roundTrips, _ := counting(c, rtt)
				return []int{oneShot(t, s, c, roundTrips), oneShot(t, s, c, roundTrips)}
			})
		})
	}
}
