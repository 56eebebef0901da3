//go:build unix

package packetio_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// A connection that waits has no more than the smallest buffer, and a socket has none,
// after packets of any size.
func TestNothingIsHeldWhileNothingComes(t *testing.T) {
	held := map[string]int{"pipe": packetio.ReceiveSizes[0], "socket": 0}
	for name, below := range belows {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 5000, 30000} {
				near, far := below(t)
				s, p := sealer("aes128-gcm@openssh.com", ""), packetio.NewPackets("aes128-gcm@openssh.com", "", near)
				var burst []byte
				for range 20 {
					burst = append(burst, s.Seal(make([]byte, size))...)
				}
				send(t, far, burst)
				for range 20 {
					payload, err := p.Open()
					require.NoError(t, err)
					require.Len(t, payload, size)
				}
				require.NoError(t, p.Idle())
				require.Equal(t, held[name], p.Held(), "after packets of %d bytes", size)
			}
		})
	}
}

// A buffer grows at once with the packets, and shrinks with the packets before.
func TestBufferFollowsWhatComes(t *testing.T) {
	for name, below := range belows {
		t.Run(name, func(t *testing.T) {
			near, far := below(t)
			s, p := sealer("aes128-gcm@openssh.com", ""), packetio.NewPackets("aes128-gcm@openssh.com", "", near)
			var held []int
			for _, size := range []int{1, 2000, 30000, 1, 1, 1} {
				_, err := far.Write(s.Seal(make([]byte, size)))
				require.NoError(t, err)
				_, err = p.Open()
				require.NoError(t, err)
				held = append(held, p.Held())
				require.NoError(t, p.Idle())
			}
			small, medium, large := packetio.ReceiveSizes[0], packetio.ReceiveSizes[1], packetio.ReceiveSizes[2]
			want := []int{small, medium, large, large, medium, small}
			if name == "pipe" {
				want = []int{small, medium, large, small, small, small}
			}
			require.Equal(t, want, held)
		})
	}
}

// The errors of a socket are the errors of net.Conn's Read.
func TestErrorsOfSocket(t *testing.T) {
	near, far := sockets(t)
	p := packetio.NewPackets("", "", near)
	require.NoError(t, far.(*net.TCPConn).SetLinger(0)) // Close sends a reset
	require.NoError(t, far.Close())
	_, err := p.Open()
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "read", op.Op)
	require.Equal(t, near.RemoteAddr(), op.Addr)
	require.ErrorContains(t, err, "connection reset by peer")

	require.NoError(t, near.Close())
	_, err = p.Open()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorAs(t, err, &op)
	require.Equal(t, "read", op.Op)
}
