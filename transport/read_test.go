package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// What has come together is returned without a notification, and before a wait
// there is one: the peer goes on only after it.
func TestReaderIsNotifiedBeforeItWaits(t *testing.T) {
	ready, told := make(chan struct{}), make(chan struct{})
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		<-ready
		p.SendRaw(append(append(p.Seal([]byte{90, 1}), p.Seal([]byte{90, 2})...), p.Seal([]byte{90, 3})...))
		<-told
		p.Send([]byte{2, 0, 0, 0, 0}, []byte{90, 4}) // IGNORE
		p.Drain()
	})
	close(ready)
	_, err := c.ReadPacket()
	require.NoError(t, err)
	for i := byte(2); i <= 3; i++ {
		p, err := c.ReadPacketNotify(func() { t.Error("notified of a wait for what is there") })
		require.NoError(t, err)
		require.Equal(t, []byte{90, i}, p)
	}
	times := 0
	p, err := c.ReadPacketNotify(func() {
		if times++; times == 1 {
			close(told)
		}
	})
	require.NoError(t, err)
	require.Equal(t, []byte{90, 4}, p)
	require.NotZero(t, times)
}
