package transport_test

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// P10: the server's DISCONNECT in every state.
func TestDisconnect(t *testing.T) {
	message := func(reason uint32, s string) []byte {
		return append(append(binary.BigEndian.AppendUint32([]byte{1}, reason), text(0, s)[1:]...), 0, 0, 0, 0)
	}
	states := map[string]func(t *testing.T, p []byte) error{
		"before KEXINIT": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *wire.Peer) { peer.Before(20, p) })
		},
		"after KEXINIT": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *wire.Peer) { peer.After(20, p) })
		},
		"before the reply": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *wire.Peer) { peer.Before(31, p) })
		},
		"before NEWKEYS": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *wire.Peer) { peer.After(31, p) })
		},
		"connected": func(t *testing.T, p []byte) error { _, _, err := after(t, nil, p); return err },
		"re-exchange": func(t *testing.T, p []byte) error {
			c := connected(t, transport.Config{}, nil, func(peer *wire.Peer) {
				peer.Before(31, p)
				peer.Exchange()
			})
			_, err := c.ReadPacket()
			requireEnded(t, c, err)
			return err
		},
	}
	for state, give := range states {
		t.Run(state, func(t *testing.T) {
			for _, reason := range []uint32{0, 2, 15, 1<<32 - 1} {
				for _, words := range []string{"", "bye", "\x1b[2J\xff\xfe", strings.Repeat("é", 15000)} {
					err := give(t, message(reason, words))
					var farewell *transport.DisconnectError
					require.ErrorAs(t, err, &farewell)
					require.Equal(t, reason, farewell.Reason)
					require.True(t, strings.HasPrefix(words, strings.TrimSuffix(farewell.Message, "…")))
					require.LessOrEqual(t, len(farewell.Message), 260)
					require.NotContains(t, err.Error(), "\x1b")
					require.Less(t, len(err.Error()), 1200)
				}
			}
			require.ErrorAs(t, give(t, message(11, "no language")[:5+4+11]), new(*transport.DisconnectError))
			for _, bad := range [][]byte{{1}, {1, 0, 0, 0}, message(1, "x")[:8], {1, 0, 0, 0, 1, 255, 255, 255, 255}} {
				require.ErrorAs(t, give(t, bad), new(*transport.ProtocolError))
			}
		})
	}
}

// We say why we leave, and nothing of our side.
func TestFarewell(t *testing.T) {
	farewell := make(chan []byte, 1)
	last := func(p *wire.Peer) { farewell <- p.Receive(1) }
	c := connected(t, transport.Config{}, nil, last)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	require.Equal(t, append(append([]byte{1, 0, 0, 0, 11}, text(0, "disconnected by user")[1:]...), 0, 0, 0, 0), <-farewell)

	c = connected(t, transport.Config{}, nil, func(p *wire.Peer) { p.Send([]byte{30}); last(p) })
	_, err := c.ReadPacket()
	require.Error(t, err)
	require.Equal(t, []byte{1, 0, 0, 0, 2}, (<-farewell)[:5])
}

// deaf takes deadlines and does not keep them, like many wrappers of pipes.
type deaf struct {
	net.Conn
	stuck  atomic.Bool // nothing goes out any more
	closed chan struct{}
	once   sync.Once
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.stuck.Load() {
		<-d.closed
		return 0, net.ErrClosed
	}
	return d.Conn.Write(p)
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

func TestCloseDoesNotRelyOnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &deaf{Conn: dial(t, scripted(t, honest)), closed: make(chan struct{})}
		c := transport.Client(below, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		require.NoError(t, c.Handshake(t.Context()))
		below.stuck.Store(true)
		begin := time.Now()
		require.NoError(t, c.Close())
		require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond) // of the bubble
	})
}
