package userauth_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// connect returns a transport whose handshake with the server is done, and
// which counts its flights.
func connect(t *testing.T, s *sshtest.Server) *countingConn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(s.HostKeys...), Addr: s.Addr})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return &countingConn{Conn: c}
}

type countingConn struct {
	*transport.Conn
	sizes []int
}

func (c *countingConn) WritePacket(packet []byte) error { return c.WritePackets(packet) }

func (c *countingConn) WritePackets(packets ...[]byte) error {
	c.sizes = append(c.sizes, len(packets))
	return c.Conn.WritePackets(packets...)
}

// strangers returns n keys, of which s knows the one at position i.
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
	require.True(t, e.Interrupted)

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
	// The sixth refusal is the end, but of a key that went alone.
	require.Equal(t, []int{5, 1}, c.sizes)
	require.Equal(t, 1, e.Unanswered)
	require.Len(t, e.Tried, 6)
}

// oneShot is what a command sends, addressed to the channel number that OpenSSH
// and dropbear give to the first one of a connection.
func oneShot(command string) [][]byte {
	return [][]byte{
		ssh.Marshal(struct {
			Type                    string `sshtype:"90"`
			Channel, Window, Packet uint32
		}{"session", 0, 1 << 20, 32 << 10}),
		ssh.Marshal(struct {
			Channel   uint32 `sshtype:"98"`
			Request   string
			WantReply bool
			Command   string
		}{0, "exec", true, command}),
	}
}

// output returns the first data that comes on the channel.
func output(t *testing.T, c userauth.Transport) string {
	t.Helper()
	for {
		packet, err := c.ReadPacket()
		require.NoError(t, err)
		if packet[0] == 94 {
			var msg struct {
				Channel uint32 `sshtype:"94"`
				Data    string
			}
			require.NoError(t, ssh.Unmarshal(packet, &msg))
			return msg.Data
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
				{"", []int{2, 3}}, // is asked about first
			} {
				c := connect(t, s)
				config := &userauth.Config{
					User: s.User, Probes: 5, LastKey: tc.last,
					Methods: []userauth.Method{userauth.PublicKeys(keys...)},
					Early:   &userauth.Early{Packets: func() [][]byte { return oneShot("echo in") }},
				}
				require.NoError(t, userauth.Authenticate(t.Context(), c, config))
				require.Equal(t, userauth.Granted, config.Early.Fate)
				require.Equal(t, tc.want, c.sizes)
				require.Equal(t, "in\n", output(t, c))
			}
		})
	}
}

// What was early behind a refusal has no effect on any server, and OpenSSH alone
// goes on.
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
				require.Equal(t, userauth.Void, config.Early.Fate)
				require.NoError(t, c.WritePackets(oneShot("echo in")...))
				require.Equal(t, "in\n", output(t, c))
			} else {
				e := requireError(t, err)
				require.ErrorIs(t, e, net.ErrClosed)
				require.Equal(t, userauth.Fatal, config.Early.Fate)
				require.Equal(t, 1, e.Unanswered)
			}
			require.NoFileExists(t, ran)
		})
	}
}
