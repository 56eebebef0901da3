package userauth_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// connect returns a transport whose handshake with the server is done.
func connect(t *testing.T, s *sshtest.Server) *countingConn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(s.HostKeys...), Addr: s.Addr})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return &countingConn{Conn: c}
}

// countingConn records the number of packets in each flight.
type countingConn struct {
	*transport.Conn
	sizes   []int
	inBatch bool
}

func (c *countingConn) WritePacket(packet []byte) error {
	if !c.inBatch {
		c.sizes = append(c.sizes, 0)
	}
	c.sizes[len(c.sizes)-1]++
	return c.Conn.WritePacket(packet)
}

func (c *countingConn) Batch(write func() error) error {
	c.sizes, c.inBatch = append(c.sizes, 0), true
	defer func() { c.inBatch = false }()
	return c.Conn.Batch(write)
}

// strangers returns n keys. s knows only the key at position i.
func strangers(t *testing.T, s *sshtest.Server, n, i int) []ssh.Signer {
	keys := make([]ssh.Signer, n)
	for j := range keys {
		keys[j] = ed25519Signer(t)
	}
	keys[i] = s.Signer
	return keys
}

func startEmbedded(t *testing.T) *sshtest.Server { return sshtest.NewServer(t, nil) }
func startOpenSSH(t *testing.T) *sshtest.Server  { return sshtest.OpenSSH(t, nil) }
func startDropbear(t *testing.T) *sshtest.Server { return sshtest.Dropbear(t, nil) }

func TestServersBearProbesInOneFlight(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *sshtest.Server{
		"embedded": startEmbedded, "openssh": startOpenSSH, "dropbear": startDropbear,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for i := range 6 {
				c := connect(t, s)
				require.NoError(t, userauth.Authenticate(t.Context(), c, &userauth.Config{
					User: s.User, Probes: 5,
					Methods: []userauth.Method{userauth.PublicKeys(strangers(t, s, 6, i)...)},
				}))
				require.Equal(t, []int{5, 1}, c.sizes)
			}
		})
	}
}

func TestServerThatAllowsFewRefusalsIsTriedAgainWithoutProbes(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 2"}})
	config := &userauth.Config{
		User: s.User, Probes: 5,
		Methods: []userauth.Method{userauth.PublicKeys(strangers(t, s, 6, 1)...)},
	}
	e := requireError(t, userauth.Authenticate(t.Context(), connect(t, s), config))
	require.ErrorAs(t, e, new(*transport.DisconnectError))
	require.ErrorContains(t, e, "Too many authentication failures")
	require.True(t, e.ProbesBrokeOff)

	config.Probes = 0
	require.NoError(t, userauth.Authenticate(t.Context(), connect(t, s), config))
}

func TestProbesStayBelowTheLimitOfOpenSSH(t *testing.T) {
	s := startOpenSSH(t)
	c := connect(t, s)
	e := requireError(t, userauth.Authenticate(t.Context(), c, &userauth.Config{
		User: s.User, Probes: 100,
		Methods: []userauth.Method{userauth.PublicKeys(strangers(t, s, 8, 7)...)},
	}))
	// The key of the sixth refusal, which ends the connection, went alone.
	require.Equal(t, []int{5, 1}, c.sizes)
	require.Equal(t, 1, e.Unanswered)
	require.Len(t, e.Tried, 6)
}

// oneShot returns the packets of a command. OpenSSH and dropbear number the first
// channel of a connection 0.
func oneShot(command string) [][]byte {
	return [][]byte{
		ssh.Marshal(wire.ChannelOpenMsg{Type: "session", Window: 1 << 20, MaxPacket: 32 << 10}),
		ssh.Marshal(wire.ChannelRequestMsg{Name: "exec", WantReply: true, Payload: ssh.Marshal(struct{ Command string }{command})}),
	}
}

// output returns the first data that comes on the channel.
func output(t *testing.T, c userauth.Transport) string {
	t.Helper()
	for {
		packet, err := c.ReadPacket()
		require.NoError(t, err)
		if packet[0] == 94 {
			var msg wire.ChannelDataMsg
			require.NoError(t, ssh.Unmarshal(packet, &msg))
			return string(msg.Data)
		}
	}
}

func TestServersObeyWhatWasEarly(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *sshtest.Server{"openssh": startOpenSSH, "dropbear": startDropbear} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			keys := strangers(t, s, 3, 1)
			for _, tc := range []struct {
				last string
				want []int
			}{
				{userauth.KeyName(s.Signer.PublicKey()), []int{3}}, // signs at once
				{"", []int{2, 3}}, // is probed first
			} {
				c := connect(t, s)
				config := &userauth.Config{
					User: s.User, Probes: 5, LastKey: tc.last,
					Methods: []userauth.Method{userauth.PublicKeys(keys...)},
					Early:   &userauth.Early{Packets: func() [][]byte { return oneShot("echo in") }},
				}
				require.NoError(t, userauth.Authenticate(t.Context(), c, config))
				require.Equal(t, userauth.EarlyGranted, config.Early.Outcome)
				require.Equal(t, tc.want, c.sizes)
				require.Equal(t, "in\n", output(t, c))
			}
		})
	}
}

// Early packets behind a refusal have no effect. Only OpenSSH goes on.
func TestServersDoNotObeyWhatWasEarlyBehindARefusal(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *sshtest.Server{
		"embedded": startEmbedded, "openssh": startOpenSSH, "dropbear": startDropbear,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			keys := strangers(t, s, 2, 1)
			ran := filepath.Join(t.TempDir(), "ran")
			config := &userauth.Config{
				User: s.User, LastKey: userauth.KeyName(keys[0].PublicKey()),
				Methods: []userauth.Method{userauth.PublicKeys(keys...)},
				Early:   &userauth.Early{Packets: func() [][]byte { return oneShot("touch '" + ran + "'") }},
			}
			c := connect(t, s)
			err := userauth.Authenticate(t.Context(), c, config)
			require.Equal(t, []int{3, 1}, c.sizes)
			if name == "openssh" {
				require.NoError(t, err)
				require.Equal(t, userauth.EarlyNoEffect, config.Early.Outcome)
				for _, p := range oneShot("echo in") {
					require.NoError(t, c.WritePacket(p))
				}
				require.Equal(t, "in\n", output(t, c))
			} else {
				e := requireError(t, err)
				require.ErrorIs(t, e, net.ErrClosed)
				require.Equal(t, userauth.EarlyBrokeOff, config.Early.Outcome)
				require.Equal(t, 1, e.Unanswered)
			}
			require.NoFileExists(t, ran)
		})
	}
}
