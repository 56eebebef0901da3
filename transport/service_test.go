package transport_test

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

func TestServiceAccept(t *testing.T) {
	request := func(t *testing.T) func(c *transport.Conn) {
		return func(c *transport.Conn) {
			require.NoError(t, c.RequestService("ssh-userauth"))
			require.ErrorContains(t, c.RequestService("other"), `the request for "ssh-userauth" is not answered yet`)
		}
	}
	for name, accept := range map[string][]byte{"named": text(6, "ssh-userauth"), "without a name": {6}} {
		t.Run(name, func(t *testing.T) {
			c, got, err := after(t, request(t), accept, []byte{51})
			require.NoError(t, err)
			require.Equal(t, [][]byte{{51}}, got)
			require.NoError(t, c.RequestService("next"))
		})
	}
	for name, packets := range map[string][][]byte{
		"another service":       {text(6, "ssh-connection")},
		"twice":                 {text(6, "ssh-userauth"), text(6, "ssh-userauth")},
		"nameless, then named":  {{6}, text(6, "ssh-userauth")},
		"A1 success before":     {{52}, text(6, "ssh-userauth")},
		"A3 channel message":    {{94, 0, 0, 0, 0, 0, 0, 0, 0}},
		"A3 global request":     {{80}},
		"trailing byte":         {append(text(6, "ssh-userauth"), 0)},
		"truncated":             {text(6, "ssh-userauth")[:10]},
		"empty name":            {text(6, "")},
		"length without string": {{6, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := after(t, request(t), packets...)
			require.ErrorAs(t, err, new(*transport.ProtocolError))
		})
	}
	t.Run("unsolicited", func(t *testing.T) {
		for _, p := range [][]byte{{6}, text(6, ""), text(6, "ssh-userauth")} {
			_, _, err := after(t, nil, p)
			require.ErrorContains(t, err, "accepted")
		}
	})
}

func TestServiceRequestLeavesWithTheNextPacket(t *testing.T) {
	c, below := counted(t, func(p *wire.Peer) {
		p.Receive(5)
		p.Receive(50)
		p.Receive(90)
		p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{52})
		p.Drain()
	})
	before := below.count()
	require.NoError(t, c.RequestService("x"))
	require.Equal(t, before, below.count())
	require.NoError(t, writeAll(c, []byte{50}, []byte{90}))
	require.Equal(t, before+1, below.count())
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	require.Equal(t, before+1, below.count())
}

func TestServiceRequestLeavesBeforeARead(t *testing.T) {
	c, _ := counted(t, func(p *wire.Peer) {
		p.Receive(5)
		p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{80})
		p.Drain()
	})
	require.NoError(t, c.RequestService("x"))
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80}, packet)
}

func TestServiceRequestDoesNotWaitForAPacketWhileSomebodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := counted(t, func(p *wire.Peer) {
			p.Receive(5)
			p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{80})
			p.Drain()
		})
		read := make(chan error, 1)
		go func() {
			_, err := c.ReadPacket()
			read <- err
		}()
		synctest.Wait()
		require.NoError(t, c.RequestService("x"))
		require.NoError(t, <-read)
		c.Close()
	})
}

func TestServiceCanBeWaitedFor(t *testing.T) {
	c, _ := counted(t, func(p *wire.Peer) {
		p.Receive(5)
		p.Send([]byte{2, 0, 0, 0, 0}, []byte("\x06\x00\x00\x00\x01x"))
		p.Receive(50)
		p.Send([]byte{52})
		p.Drain()
	})
	require.NoError(t, c.WaitService(), "none was requested")
	require.NoError(t, c.RequestService("x"))
	require.NoError(t, c.WaitService())
	require.NoError(t, c.WritePacket([]byte{50}))
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.WaitService(), net.ErrClosed)
}

func TestServiceThatIsNotAccepted(t *testing.T) {
	for name, answer := range map[string][]byte{
		"message of the service": {52},
		"other service":          []byte("\x06\x00\x00\x00\x01y"),
		"goodbye":                []byte("\x01\x00\x00\x00\x07\x00\x00\x00\x02no\x00\x00\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := counted(t, func(p *wire.Peer) {
				p.Receive(5)
				p.Send(answer)
				p.Drain()
			})
			require.NoError(t, c.RequestService("x"))
			err := c.WaitService()
			require.Error(t, err)
			requireEnded(t, c, err)
		})
	}
}

func TestServiceRequestIsSentBeforeAFarewell(t *testing.T) {
	last := make(chan byte, 2)
	c, _ := counted(t, func(p *wire.Peer) {
		last <- p.Receive(5)[0]
		last <- p.Receive(1)[0]
	})
	require.NoError(t, c.RequestService("x"))
	require.NoError(t, c.Close())
	require.Equal(t, byte(5), <-last)
	require.Equal(t, byte(1), <-last)
}

func TestServiceRequestAndFirstPacketsAreOneFlight(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Receive(5)
		p.Receive(50)
		p.Send(wire.ServiceAcceptMsg{Name: "ssh-userauth"}, []byte{51})
		p.Drain()
	})
	require.NoError(t, c.RequestService("ssh-userauth"))
	require.NoError(t, c.WritePacket([]byte{50}))
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{51}, p)
}
