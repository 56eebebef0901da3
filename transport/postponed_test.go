package transport_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// Some servers, for example AsyncSSH 2.10, do not stop for an exchange of either side.
// None of their packets is lost, or overtaken by packets from behind the exchange.
func TestDataDuringAReexchangeIsKept(t *testing.T) {
	numbered := func(from, to uint32) (messages []any) {
		for n := from; n < to; n++ {
			messages = append(messages, binary.BigEndian.AppendUint32([]byte{94}, n))
		}
		return messages
	}
	for _, begins := range []bool{true, false} {
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
			p.Send([]byte{52})
			if begins {
				p.SendKexInit()
				p.ReceiveKexInit()
			} else {
				p.ReceiveKexInit()
				p.SendKexInit()
			}
			p.Send(numbered(0, 10)...)
			p.Before(31, numbered(10, 20)...)
			p.Before(21, numbered(20, 30)...)
			p.FinishKex()
			p.Send(numbered(30, 40)...)
			for _, seq := range []byte{2, 0} { // behind 52 and KEXINIT, and of the new keys
				require.Equal(t, []byte{3, 0, 0, 0, seq}, p.Receive(3))
			}
			p.Drain()
		})
		_, err := c.ReadPacket()
		require.NoError(t, err)
		if !begins {
			require.NoError(t, c.Rekey())
		}
		for n := range uint32(40) {
			p, err := c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, binary.BigEndian.AppendUint32([]byte{94}, n), p)
			if n == 0 || n == 30 {
				require.NoError(t, c.Unimplemented())
			}
		}
		require.Equal(t, 2, c.State().Exchanges)
		require.NoError(t, c.Close())
	}
}

func TestDataDuringAnExchangeIsBounded(t *testing.T) {
	data := append([]byte{94}, make([]byte, 32<<10)...)
	for name, test := range map[string]struct {
		before             byte // 52 is the success
		exchanges, packets int
		want               string
	}{
		"much":                  {52, 1, 500, ""},
		"much, again and again": {52, 3, 300, ""},
		"more":                  {52, 1, 600, "more than 16777216 bytes of data during a key exchange"},
		"before authentication": {53, 1, 1, "message 94 during a key exchange"},
	} {
		t.Run(name, func(t *testing.T) {
			c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
				p.Send([]byte{test.before})
				for range test.exchanges {
					p.SendKexInit()
					p.ReceiveKexInit()
					p.Send(slices.Repeat([]any{data}, test.packets)...)
					p.FinishKex()
				}
				p.Send([]byte{95})
				p.Drain()
			})
			err := readTo(c, 95)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			requireEnded(t, c, err)
		})
	}
}

// readTo reads up to a message with the number.
func readTo(c *transport.Conn, number byte) error {
	for {
		if p, err := c.ReadPacket(); err != nil || p[0] == number {
			return err
		}
	}
}

// The server's last packets count, also without the end of the exchange.
func TestDataBeforeAnExchangeThatFails(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Send([]byte{52})
		p.SendKexInit()
		p.ReceiveKexInit()
		p.Receive(30)
		p.Send([]byte{94, 1}, []byte{97})
		p.Send([]byte("\x01\x00\x00\x00\x0b\x00\x00\x00\x03bye\x00\x00\x00\x00"))
	})
	for _, want := range [][]byte{{52}, {94, 1}, {97}} {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
	_, err := c.ReadPacket()
	require.ErrorAs(t, err, new(*transport.DisconnectError))
	requireEnded(t, c, err)
}
