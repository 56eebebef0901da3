package transport_test

import (
	"encoding/binary"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

func TestPacketIsNotRetained(t *testing.T) {
	got := make(chan []byte, 1)
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) { got <- p.Receive(); p.Drain() })
	packet := []byte{80, 1, 2, 3}
	require.NoError(t, c.WritePacket(packet))
	require.Equal(t, []byte{80, 1, 2, 3}, packet, "nor changed")
	clear(packet)
	require.Equal(t, []byte{80, 1, 2, 3}, <-got)
}

// The server's last packets can be read after a write has failed.
func TestFailedWriteLeavesReadingPossible(t *testing.T) {
	c, below := counted(t, func(p *wire.Peer) {
		p.Send([]byte{80, 1}, []byte{80, 2})
		p.Drain()
	})
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 1}, p)
	below.fail()
	for range 2 {
		err = c.WritePacket([]byte{90})
		require.ErrorIs(t, err, os.ErrPermission)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, "transport: ")
	}
	require.ErrorIs(t, c.Rekey(), os.ErrPermission)
	p, err = c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 2}, p)
	require.ErrorIs(t, c.RequestService("x"), os.ErrPermission)
	require.NoError(t, c.Close())
}

// An exchange needs both directions.
func TestFailedWriteInAReexchangeEndsTheConnection(t *testing.T) {
	begin := make(chan bool)
	c, below := counted(t, func(p *wire.Peer) { <-begin; p.Exchange() })
	below.fail()
	close(begin)
	_, err := c.ReadPacket()
	require.ErrorIs(t, err, os.ErrPermission)
	require.EqualError(t, err, "transport: connection ended: permission denied")
	requireEnded(t, c, err)
}

func TestConcurrentWritersDoNotMix(t *testing.T) {
	const writers, each = 8, 200
	bad := make(chan string, 1)
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		next := map[byte]uint32{}
		for range writers * each {
			b := p.Receive()
			if n := binary.BigEndian.Uint32(b[2:]); n != next[b[1]] || len(b) != int(6+n*7) {
				bad <- "out of order"
				return
			}
			next[b[1]]++
		}
		close(bad)
		p.Drain()
	})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range uint32(each) {
				packet := binary.BigEndian.AppendUint32([]byte{94, byte(w)}, n)
				if c.WritePacket(append(packet, make([]byte, n*7)...)) != nil {
					return
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, <-bad)
}

// A writer unblocked by the end of the connection gets the cause of the end.
func TestBlockedWriterLearnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan bool)
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
			<-leave
			p.Send([]byte{1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0})
			<-leave // a hang-up now would fail the writer first
		})
		written := make(chan error, 1)
		go func() { written <- c.WritePacket(append([]byte{80}, make([]byte, 200000)...)) }()
		synctest.Wait()
		leave <- true
		_, err := c.ReadPacket()
		var disconnect *transport.DisconnectError
		require.ErrorAs(t, err, &disconnect)
		err = <-written
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, disconnect)
		leave <- true
	})
}

func (*deaf) SetDeadline(time.Time) error { return nil }

func (*deaf) SetWriteDeadline(time.Time) error { return nil }
