package transport_test

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// P8: an unknown message is answered with its sequence number, also after sequence
// numbers have started anew.
func TestUnknownMessageIsAnswered(t *testing.T) {
	for _, lax := range []bool{false, true} {
		checked := make(chan bool, 1)
		c := connected(t, transport.Config{}, func(p *wire.Peer) { p.Lax = lax }, func(p *wire.Peer) {
			answered := func(number byte) {
				seq := p.Sent
				p.Send([]byte{number, 1, 2})
				if m := wire.Expect[wire.UnimplementedMsg](p); m.Sequence != seq {
					p.Fatalf("UNIMPLEMENTED %d of %d, not %d", m.Sequence, number, seq)
				}
			}
			for _, number := range []byte{0, 5, 8, 19, 128, 191, 194, 255} {
				answered(number)
				p.Send(ignore)
				answered(number)
			}
			p.Exchange()
			answered(255)
			answered(101) // by the layer above, see below
			checked <- true
			p.Send([]byte{127})
			p.Drain()
		})
		got, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, byte(101), got[0])
		require.NoError(t, c.Unimplemented())
		_, err = c.ReadPacket()
		require.NoError(t, err)
		require.True(t, <-checked)
		require.NoError(t, c.Close())
	}
}

// OpenSSH PROTOCOL section 1.8.
func TestPingIsAnswered(t *testing.T) {
	big := strings.Repeat("p", 30000)
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Send(text(192, "too early"), []byte{52}) // K23: no answer before authentication
		for _, data := range []string{"", "x", big} {
			p.Send(text(192, data), text(193, "a PONG that nobody wants"))
			if m := wire.Expect[wire.PongMsg](p); string(m.Data) != data {
				p.Fatalf("PONG %d bytes, not %d", len(m.Data), len(data))
			}
		}
		p.Send([]byte{127})
		p.Drain()
	})
	for range 2 {
		_, err := c.ReadPacket()
		require.NoError(t, err)
	}
}

// P8, P9 and P16: floods cost nothing. Answers that the peer does not read are bounded:
// at the bound we read no more, and Close still works.
func TestFloods(t *testing.T) {
	t.Run("P9 ignored", func(t *testing.T) {
		before := heap()
		for _, message := range [][]byte{ignore, debug} {
			_, got, err := after(t, nil, append([][]byte{{52}}, slices.Repeat([][]byte{message}, 100000)...)...)
			require.NoError(t, err)
			require.Equal(t, [][]byte{{52}}, got)
		}
		require.Less(t, heap()-before, int64(16<<20))
	})
	for name, message := range map[string][]byte{
		"P8 unknown":     {200},
		"P16 ping":       text(192, strings.Repeat("p", 1000)),
		"P16 large ping": text(192, strings.Repeat("p", 34000)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := make(chan int, 1)
				c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
					n := 0
					defer func() { sent <- n }()
					p.Send([]byte{52})
					for ; n < 1e6; n++ {
						p.Send(message)
					}
				})
				_, err := c.ReadPacket()
				require.NoError(t, err)
				before := heap()
				done := make(chan error, 1)
				go func() { _, err := c.ReadPacket(); done <- err }()
				synctest.Wait() // everybody waits for somebody
				require.Empty(t, sent)
				require.Less(t, heap()-before, int64(8<<20))
				require.NoError(t, c.Close())
				require.ErrorIs(t, <-done, net.ErrClosed)
				require.Less(t, <-sent, 1000000)
			})
		})
	}
}

// Answers that cannot be sent do not stop the reader.
func TestAnswersThatCannotBeWrittenDoNotStopTheReader(t *testing.T) {
	c, below := counted(t, func(p *wire.Peer) {
		p.Send([]byte{52}, []byte{80, 1})
		for range 6 {
			p.Send(wire.PingMsg{Data: make([]byte, 30000)})
		}
		p.Send([]byte{80, 2})
		p.Drain()
	})
	for _, want := range [][]byte{{52}, {80, 1}} {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
	below.fail()
	require.ErrorIs(t, c.WritePacket([]byte{90}), os.ErrPermission)
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 2}, p)
}
