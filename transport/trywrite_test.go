//go:build unix

package transport_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// overTCP returns a client whose connection is a socket and which the server has
// let in. The script goes on behind that.
func overTCP(t *testing.T, tc transport.Config, run script) (*transport.Conn, *net.TCPConn) {
	t.Helper()
	c, socket := shakenOverTCP(t, tc, func(p *sshtest.Peer) {
		p.Send([]byte{52})
		run(p)
	})
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	return c, socket
}

// shakenOverTCP is overTCP without the success.
func shakenOverTCP(t *testing.T, tc transport.Config, run script) (*transport.Conn, *net.TCPConn) {
	t.Helper()
	s := sshtest.NewServer(t, &sshtest.Options{
		HostKeys: []ssh.Signer{hostKey()},
		Script: func(p *sshtest.Peer) {
			p.Handshake()
			run(p)
		},
	})
	socket := dial(t, s).(*net.TCPConn)
	tc.HostKey = transport.FixedHostKey(hostKey().PublicKey())
	c := transport.Client(socket, &tc)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return c, socket
}

// parts is a packet in two parts.
func parts(header, data []byte) [2][]byte { return [2][]byte{header, data} }

func TestTryWritePacketsInTwoParts(t *testing.T) {
	got := make(chan []byte, 3)
	c, _ := overTCP(t, transport.Config{}, func(p *sshtest.Peer) {
		for range 3 {
			got <- p.Receive()
		}
		p.Drain()
	})
	header, data := []byte{94, 1}, bytes.Repeat([]byte{7}, 32<<10)
	n, more, err := c.TryWritePackets([][2][]byte{parts(header, data), parts(nil, []byte{80}), parts([]byte{81}, nil)})
	require.Error(t, err, "a header says what it is")
	require.Zero(t, n)
	require.False(t, more)
	n, more, err = c.TryWritePackets([][2][]byte{parts(header, data), parts([]byte{80}, nil), parts([]byte{81}, []byte("x"))})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.False(t, more)
	require.False(t, c.Left())
	require.Equal(t, []byte{94, 1}, header, "nor changed")
	clear(data)
	require.Equal(t, append([]byte{94, 1}, bytes.Repeat([]byte{7}, 32<<10)...), <-got)
	require.Equal(t, []byte{80}, <-got)
	require.Equal(t, []byte("\x51x"), <-got)
	for _, bad := range [][2][]byte{{}, parts([]byte{49}, nil), parts([]byte{94}, make([]byte, 256<<10))} {
		_, _, err := c.TryWritePackets([][2][]byte{bad})
		require.Error(t, err)
	}
	require.NoError(t, c.WritePacket([]byte{80}), "a mistake of the caller ends nothing")
}

// What the socket has no room for leaves first with the next write, and there is
// no room for more until then.
func TestTryWritePacketsToAPeerThatDoesNotRead(t *testing.T) {
	for name, write := range map[string]func(c *transport.Conn) error{
		"nothing more": func(c *transport.Conn) error { return c.WritePackets() },
		"a packet":     func(c *transport.Conn) error { return c.WritePacket([]byte{94, 255, 255, 255, 255}) },
		"new keys":     func(c *transport.Conn) error { return c.Rekey() },
	} {
		t.Run(name, func(t *testing.T) {
			begin, sent, got := make(chan bool), make(chan uint32, 1), make(chan uint32, 1)
			c, socket := overTCP(t, transport.Config{}, func(p *sshtest.Peer) {
				<-begin
				for n := range <-sent {
					b := p.Receive(94)
					if len(b) != 30<<10 || binary.BigEndian.Uint32(b[1:]) != n {
						got <- n
						return
					}
				}
				got <- 0
				p.Drain()
			})
			require.NoError(t, socket.SetWriteBuffer(64<<10))
			data := make([]byte, 30<<10-5)
			taken, more := uint32(0), false
			for !more {
				var packets [][2][]byte
				for n := range uint32(4) {
					packets = append(packets, parts(binary.BigEndian.AppendUint32([]byte{94}, taken+n), data))
				}
				n, left, err := c.TryWritePackets(packets)
				require.NoError(t, err)
				require.Equal(t, 4, n)
				taken, more = taken+uint32(n), left
			}
			n, more, err := c.TryWritePackets([][2][]byte{parts([]byte{94}, make([]byte, 100<<10))})
			require.NoError(t, err)
			require.Zero(t, n)
			require.True(t, more)
			require.True(t, c.Left())
			written := make(chan error, 1)
			go func() { written <- write(c) }()
			close(begin)
			sent <- taken
			require.Zero(t, <-got)
			require.NoError(t, <-written)
			require.False(t, c.Left(), "an idle connection has no buffer")
		})
	}
}

// It leaves everything that has to wait to WritePackets.
func TestTryWritePacketsThatWouldWait(t *testing.T) {
	try := func(t *testing.T, c *transport.Conn) {
		t.Helper()
		n, more, err := c.TryWritePackets([][2][]byte{parts([]byte{80}, nil)})
		require.NoError(t, err)
		require.Zero(t, n)
		require.False(t, more)
	}
	t.Run("before the handshake", func(t *testing.T) {
		try(t, client(t, transport.Config{}, honest))
	})
	t.Run("before the login", func(t *testing.T) {
		c, _ := shakenOverTCP(t, transport.Config{}, drain)
		try(t, c)
	})
	t.Run("no socket", func(t *testing.T) {
		c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
			p.Send([]byte{52})
			p.Drain()
		})
		_, err := c.ReadPacket()
		require.NoError(t, err)
		try(t, c)
	})
	t.Run("key exchange", func(t *testing.T) {
		c, _ := overTCP(t, transport.Config{}, drain)
		require.NoError(t, c.Rekey())
		try(t, c)
	})
	t.Run("key that is old", func(t *testing.T) {
		c, _ := overTCP(t, transport.Config{RekeyInterval: 1}, drain)
		try(t, c)
	})
	t.Run("end", func(t *testing.T) {
		c, _ := overTCP(t, transport.Config{}, drain)
		require.NoError(t, c.Close())
		try(t, c)
		require.ErrorIs(t, c.WritePackets(), net.ErrClosed)
	})
	t.Run("another writer", func(t *testing.T) {
		leave := make(chan bool)
		defer close(leave)
		c, socket := overTCP(t, transport.Config{}, func(*sshtest.Peer) { <-leave })
		require.NoError(t, socket.SetWriteBuffer(64<<10))
		for {
			_, more, err := c.TryWritePackets([][2][]byte{parts([]byte{80}, make([]byte, 30<<10))})
			require.NoError(t, err)
			if more {
				break
			}
		}
		written := make(chan error, 1)
		go func() { written <- c.WritePackets() }()
		for more := true; more; { // until that has the lock
			n, left, err := c.TryWritePackets([][2][]byte{parts([]byte{80}, make([]byte, 130<<10))})
			require.NoError(t, err)
			require.Zero(t, n)
			more = left
		}
		try(t, c)
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-written, net.ErrClosed)
	})
}

// New keys are asked for as soon as the old ones are spent, if nothing is ever
// written in another way.
func TestTryWritePacketsThatSpendsTheKey(t *testing.T) {
	c, _ := overTCP(t, transport.Config{RekeyPackets: 5}, func(p *sshtest.Peer) {
		for {
			if b := p.Receive(80, 20); b[0] == 20 {
				p.ClientKexInit = b
				p.SendKexInit()
				p.FinishKex()
				p.Send([]byte{81})
			}
		}
	})
	packets := slices.Repeat([][2][]byte{parts([]byte{80}, nil)}, 10)
	for round := range 4 {
		n, more, err := c.TryWritePackets(packets)
		require.NoError(t, err)
		require.LessOrEqual(t, n, 5)
		require.True(t, more)
		require.NoError(t, c.WritePackets())
		_, err = c.ReadPacket() // behind the exchange
		require.NoError(t, err)
		require.Equal(t, 2+round, c.State().Exchanges)
	}
}

func TestTryWritePacketsAfterAFailure(t *testing.T) {
	c, socket := overTCP(t, transport.Config{}, drain)
	require.NoError(t, socket.CloseWrite())
	packets := [][2][]byte{parts([]byte{80}, nil)}
	_, _, err := c.TryWritePackets(packets)
	require.ErrorIs(t, err, net.ErrClosed)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "write", op.Op)
	n, more, again := c.TryWritePackets(packets)
	require.NoError(t, again)
	require.Zero(t, n)
	require.False(t, more)
	require.Equal(t, err, c.WritePackets())
}

// Many write in both ways while keys are exchanged, and none is overtaken by
// itself.
func TestTryWritePacketsDoesNotMix(t *testing.T) {
	const writers, each = 4, 300
	bad := make(chan string, 1)
	c, _ := overTCP(t, transport.Config{RekeyPackets: 100}, func(p *sshtest.Peer) {
		next := map[byte]uint32{}
		for range writers * each {
			b := p.Receive(94)
			if n := binary.BigEndian.Uint32(b[2:]); n != next[b[1]] || len(b) != int(6+n*50) {
				bad <- "out of order"
				return
			}
			next[b[1]]++
		}
		close(bad)
		p.Drain()
	})
	go func() {
		for {
			if _, err := c.ReadPacket(); err != nil {
				return
			}
		}
	}()
	var group sync.WaitGroup
	for w := range byte(writers) {
		group.Go(func() {
			for next := uint32(0); next < each; {
				var packets [][2][]byte
				for n := next; n < min(next+5, each); n++ {
					packets = append(packets, parts(binary.BigEndian.AppendUint32([]byte{94, w}, n), make([]byte, n*50)))
				}
				n, more, err := c.TryWritePackets(packets)
				next += uint32(n)
				if err != nil || more && c.WritePackets() != nil {
					return
				}
				if n < len(packets) {
					if c.WritePackets(append(packets[n][0], packets[n][1]...)) != nil {
						return
					}
					next++
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, <-bad)
	require.Greater(t, c.State().Exchanges, 2)
}
