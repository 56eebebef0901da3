package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// Packets that have come together are returned without a notification. Before a wait
// there is a notification, and the peer goes on only then.
func TestReaderIsNotifiedBeforeItWaits(t *testing.T) {
	ready, told := make(chan struct{}), make(chan struct{})
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		<-ready
		p.SendRaw(append(append(p.Seal([]byte{90, 1}), p.Seal([]byte{90, 2})...), p.Seal([]byte{90, 3})...))
		<-told
		p.Send([]byte{2, 0, 0, 0, 0}, []byte{90, 4}) // IGNORE
		p.Drain()
	})
	close(ready)
	_, err := c.ReadPacket()
	require.NoError(t, err)
	c.NotifyWait(func() { t.Error("notified of a wait for what is there") })
	for i := byte(2); i <= 3; i++ {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, []byte{90, i}, p)
	}
	times := 0
	c.NotifyWait(func() {
		if times++; times == 1 {
			close(told)
		}
	})
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{90, 4}, p)
	require.NotZero(t, times)

	seen := times
	c.NotifyWait(nil)
	require.NoError(t, c.Close())
	_, err = c.ReadPacket()
	require.Error(t, err)
	require.Equal(t, seen, times)
}

// An append to a packet does not overwrite the next packet.
func TestReturnedPacketHasNoRoomBehindIt(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.SendRaw(append(p.Seal([]byte{90, 1}), p.Seal([]byte{90, 2})...))
		p.Drain()
	})
	p, err := c.ReadPacket()
	require.NoError(t, err)
	_ = append(p, make([]byte, 100)...)
	p, err = c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{90, 2}, p)
}
