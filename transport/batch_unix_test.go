//go:build unix

package transport_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// overTCP returns a client over a socket, behind the server's success. The script goes
// on from there.
func overTCP(t *testing.T, tc transport.Config, run script) (*transport.Conn, *net.TCPConn) {
	t.Helper()
	c, socket := shakenOverTCP(t, tc, func(p *wire.Peer) {
		p.Send([]byte{52})
		run(p)
	})
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	return c, socket
}

// shakenOverTCP is overTCP before the server's success.
func shakenOverTCP(t *testing.T, tc transport.Config, run script) (*transport.Conn, *net.TCPConn) {
	t.Helper()
	s := sshtest.NewServer(t, &sshtest.Options{
		HostKeys: []ssh.Signer{hostKey()},
		Script: func(p *wire.Peer) {
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

// tryAll sends packets in a batch, if no wait is needed.
func tryAll(c *transport.Conn, packets ...[]byte) (ok, more bool, err error) {
	return c.TryBatch(func() error {
		for _, p := range packets {
			if err := c.WritePacket(append(c.PacketBuffer(len(p)), p...)); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill sends packets until the socket takes no more.
func fill(t *testing.T, c *transport.Conn) {
	t.Helper()
	for more := false; !more; {
		ok, left, err := tryAll(c, make80(30<<10))
		require.NoError(t, err)
		require.True(t, ok)
		more = left
	}
}

func TestTryBatch(t *testing.T) {
	got := make(chan []byte, 3)
	c, _ := overTCP(t, transport.Config{}, receives(3, got))
	large := append([]byte{94, 1}, bytes.Repeat([]byte{7}, 32<<10)...)
	ok, more, err := tryAll(c, large, []byte{80}, []byte("\x51x"))
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, more)
	require.False(t, c.Left())
	for _, p := range [][]byte{large, {80}, []byte("\x51x")} {
		require.Equal(t, p, <-got)
	}
	for _, bad := range [][]byte{{}, {49}, make([]byte, 256<<10+1)} {
		ok, _, err := tryAll(c, bad)
		require.Error(t, err)
		require.True(t, ok)
	}
	ok, more, err = tryAll(c)
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, more)
	require.NoError(t, c.WritePacket([]byte{80}), "a mistake of the caller ends nothing")
}

// All packets of a batch are taken, even if the buffer has to grow.
func TestTryBatchOfMoreThanTheBuffer(t *testing.T) {
	const packets = 30
	got := make(chan []byte, packets)
	c, _ := overTCP(t, transport.Config{}, receives(packets, got))
	ok, more, err := c.TryBatch(func() error {
		for n := range byte(packets) {
			if err := c.WritePacket(append(append(c.PacketBuffer(32<<10), 94), bytes.Repeat([]byte{n}, 32<<10-1)...)); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.True(t, ok)
	if more {
		require.NoError(t, c.Flush())
	}
	require.False(t, c.Left())
	for n := range byte(packets) {
		require.Equal(t, append([]byte{94}, bytes.Repeat([]byte{n}, 32<<10-1)...), <-got)
	}
}

// A batch whose write fails, or panics, leaves the connection usable.
func TestTryBatchWhoseWriteFails(t *testing.T) {
	got := make(chan []byte, 3)
	c, _ := overTCP(t, transport.Config{}, receives(3, got))
	no := errors.New("no")
	ok, _, err := c.TryBatch(func() error { return errors.Join(c.WritePacket([]byte{94, 1}), no) })
	require.ErrorIs(t, err, no)
	require.True(t, ok)
	require.PanicsWithValue(t, no, func() {
		_, _, _ = c.TryBatch(func() error {
			_ = c.WritePacket([]byte{94, 2})
			c.PacketBuffer(10)
			panic(no)
		})
	})
	require.NoError(t, c.WritePacket([]byte{94, 3}))
	for n := byte(1); n <= 3; n++ {
		require.Equal(t, []byte{94, n}, <-got)
	}
}

// The rest, for which the socket has no room, leaves first with the next write. Until
// then no other batch begins.
func TestTryBatchToAPeerThatDoesNotRead(t *testing.T) {
	for name, write := range map[string]func(c *transport.Conn) error{
		"nothing more": func(c *transport.Conn) error { return c.Flush() },
		"a packet":     func(c *transport.Conn) error { return c.WritePacket([]byte{94, 255, 255, 255, 255}) },
		"a batch":      func(c *transport.Conn) error { return writeAll(c, make80(100<<10), make80(100<<10)) },
		"new keys":     func(c *transport.Conn) error { return c.Rekey() },
	} {
		t.Run(name, func(t *testing.T) {
			begin, sent, got := make(chan bool), make(chan uint32, 1), make(chan uint32, 1)
			c, socket := overTCP(t, transport.Config{}, func(p *wire.Peer) {
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
				var packets [][]byte
				for n := range uint32(4) {
					packets = append(packets, append(binary.BigEndian.AppendUint32([]byte{94}, taken+n), data...))
				}
				ok, left, err := tryAll(c, packets...)
				require.NoError(t, err)
				require.True(t, ok)
				taken, more = taken+4, left
			}
			ok, more, err := tryAll(c, []byte{94})
			require.NoError(t, err)
			require.False(t, ok)
			require.False(t, more)
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

// TryBatch does not call write where a wait would be needed.
func TestTryBatchThatWouldWait(t *testing.T) {
	try := func(t *testing.T, c *transport.Conn) {
		t.Helper()
		ok, more, err := c.TryBatch(func() error {
			t.Error("write was called")
			return nil
		})
		require.NoError(t, err)
		require.False(t, ok)
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
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
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
		require.ErrorIs(t, c.Flush(), net.ErrClosed)
	})
	t.Run("another batch", func(t *testing.T) {
		c, _ := overTCP(t, transport.Config{}, drain)
		require.NoError(t, c.Batch(func() error {
			try(t, c)
			return nil
		}))
	})
	t.Run("rest of another batch", func(t *testing.T) {
		leave := make(chan bool)
		defer close(leave)
		c, socket := overTCP(t, transport.Config{}, func(*wire.Peer) { <-leave })
		require.NoError(t, socket.SetWriteBuffer(64<<10))
		fill(t, c)
		try(t, c)
		written := make(chan error, 1)
		go func() { written <- writeAll(c, make80(200<<10), make80(200<<10), make80(200<<10)) }()
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-written, net.ErrClosed)
	})
}

// New keys are asked for as soon as the old keys are spent, also if TryBatch and Flush
// are the only writes.
func TestTryBatchThatSpendsTheKey(t *testing.T) {
	c, _ := overTCP(t, transport.Config{RekeyPackets: 5}, func(p *wire.Peer) {
		for {
			if b := p.Receive(80, 20); b[0] == 20 {
				p.ClientKexInit = b
				p.SendKexInit()
				p.FinishKex()
				p.Send([]byte{81})
			}
		}
	})
	for round := range 4 {
		ok, more, err := tryAll(c, slices.Repeat([][]byte{{80}}, 10)...)
		require.NoError(t, err)
		require.True(t, ok, "the limit is soft")
		require.True(t, more)
		require.NoError(t, c.Flush())
		_, err = c.ReadPacket() // behind the exchange
		require.NoError(t, err)
		require.Equal(t, 2+round, c.State().Exchanges)
	}
}

func TestTryBatchAfterAFailure(t *testing.T) {
	c, socket := overTCP(t, transport.Config{}, drain)
	require.NoError(t, socket.CloseWrite())
	_, _, err := tryAll(c, []byte{80})
	require.ErrorIs(t, err, net.ErrClosed)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "write", op.Op)
	ok, more, again := tryAll(c, []byte{80})
	require.NoError(t, again)
	require.False(t, ok)
	require.False(t, more)
	require.Equal(t, err, c.Flush())
}

func TestNothingIsAllocatedForATryBatch(t *testing.T) {
	c, _ := overTCP(t, transport.Config{}, func(p *wire.Peer) { _, _ = io.Copy(io.Discard, p.Conn) })
	for _, size := range []int{2, 30 << 10} {
		data := make80(size)
		write := func() error {
			for range 4 {
				if err := c.WritePacket(append(c.PacketBuffer(len(data)), data...)); err != nil {
					return err
				}
			}
			return nil
		}
		require.LessOrEqual(t, testing.AllocsPerRun(50, func() {
			if _, more, _ := c.TryBatch(write); more {
				_ = c.Flush()
			}
		}), float64(4*allocsPerPacket))
	}
}

// Many goroutines write in both ways while keys are exchanged, and the packets of each
// stay in order.
func TestTryBatchDoesNotMix(t *testing.T) {
	const writers, each = 4, 300
	bad := make(chan string, 1)
	c, _ := overTCP(t, transport.Config{RekeyPackets: 100}, func(p *wire.Peer) {
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
				var packets [][]byte
				for n := next; n < min(next+5, each); n++ {
					packets = append(packets, append(binary.BigEndian.AppendUint32([]byte{94, w}, n), make([]byte, n*50)...))
				}
				ok, more, err := tryAll(c, packets...)
				if err != nil || more && c.Flush() != nil {
					return
				}
				if ok {
					next += uint32(len(packets))
					continue
				}
				if c.WritePacket(packets[0]) != nil {
					return
				}
				next++
			}
		})
	}
	group.Wait()
	require.Empty(t, <-bad)
	require.Greater(t, c.State().Exchanges, 2)
}
