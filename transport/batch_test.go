package transport_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// tracing is a decorator of a transport: all packets pass its two methods, and
// everything else is the transport's.
type tracing struct {
	*transport.Conn
	sent, received [][]byte
}

func (d *tracing) WritePacket(packet []byte) error {
	d.sent = append(d.sent, bytes.Clone(packet)) // before the transport encrypts it
	return d.Conn.WritePacket(packet)
}

func (d *tracing) ReadPacket() ([]byte, error) {
	p, err := d.Conn.ReadPacket()
	d.received = append(d.received, bytes.Clone(p))
	return p, err
}

// packetTransport has the methods for packets that the layers above ask for.
type packetTransport interface {
	ReadPacket() ([]byte, error)
	WritePacket(packet []byte) error
	Batch(write func() error) error
	PacketBuffer(size int) []byte
}

func TestDecoratorSeesEveryPacketOfABatch(t *testing.T) {
	got := make(chan []byte, 3)
	c, below := counted(t, func(p *wire.Peer) {
		for range 3 {
			got <- p.Receive()
		}
		p.Send([]byte{81})
		p.Drain()
	})
	d := &tracing{Conn: c}
	var above packetTransport = d
	before := below.count()
	require.NoError(t, above.Batch(func() error {
		for n := range byte(3) {
			if err := above.WritePacket(append(above.PacketBuffer(2), 94, n)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Equal(t, 1, below.count()-before)
	require.Equal(t, [][]byte{{94, 0}, {94, 1}, {94, 2}}, d.sent)
	for _, p := range d.sent {
		require.Equal(t, p, <-got)
	}
	_, err := above.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, [][]byte{{81}}, d.received)
}

// A buffer of the transport's need not be used, and may be too small.
func TestPacketBuffer(t *testing.T) {
	large := append([]byte{94}, bytes.Repeat([]byte{7}, 100<<10)...)
	for name, write := range map[string]func(c *transport.Conn) (want [][]byte, err error){
		"of the right size": func(c *transport.Conn) ([][]byte, error) {
			return [][]byte{large}, c.WritePacket(append(c.PacketBuffer(len(large)), large...))
		},
		"larger than the packet": func(c *transport.Conn) ([][]byte, error) {
			return [][]byte{{94, 1}}, c.WritePacket(append(c.PacketBuffer(1000), 94, 1))
		},
		"smaller than the packet": func(c *transport.Conn) ([][]byte, error) {
			return [][]byte{large}, c.WritePacket(append(c.PacketBuffer(10), large...))
		},
		"not used": func(c *transport.Conn) ([][]byte, error) {
			c.PacketBuffer(10)
			return [][]byte{{94, 1}}, c.WritePacket([]byte{94, 1})
		},
		"not used, and another one is": func(c *transport.Conn) ([][]byte, error) {
			c.PacketBuffer(10)
			return [][]byte{{94, 1}, {94, 2}, {94, 3}}, errors.Join(c.WritePacket([]byte{94, 1}),
				c.WritePacket(append(c.PacketBuffer(10), 94, 2)), c.WritePacket([]byte{94, 3}))
		},
		"not for the beginning of the packet": func(c *transport.Conn) ([][]byte, error) {
			return [][]byte{{94, 1}}, c.WritePacket(append(c.PacketBuffer(10), 0, 94, 1)[1:])
		},
		"when there is no room": func(c *transport.Conn) ([][]byte, error) {
			err := c.WritePacket(append(c.PacketBuffer(len(large)), large...))
			return [][]byte{large, large}, errors.Join(err, c.WritePacket(append(c.PacketBuffer(len(large)), large...)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 4)
			c := connected(t, transport.Config{}, nil, receives(4, got))
			var want [][]byte
			require.NoError(t, c.Batch(func() (err error) {
				want, err = write(c)
				return err
			}))
			require.NoError(t, c.WritePacket([]byte{95}), "the stream goes on")
			for _, p := range append(want, []byte{95}) {
				require.Equal(t, p, <-got)
			}
		})
	}
	c := connected(t, transport.Config{}, nil, drain)
	require.Nil(t, c.PacketBuffer(10), "outside of a batch")
	require.NoError(t, c.Batch(func() error {
		for _, size := range []int{-1, 0, 256<<10 + 1} {
			require.Nil(t, c.PacketBuffer(size), "%d bytes", size)
		}
		return nil
	}))
}

// The packets before an error of write are sent, and neither an error nor a panic
// of write ends anything.
func TestBatchWhoseWriteFails(t *testing.T) {
	no := errors.New("no")
	for name, write := range map[string]func() error{
		"error": func() error { return no },
		"panic": func() error { panic(no) },
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 2)
			c := connected(t, transport.Config{}, nil, receives(2, got))
			batch := func() error {
				return c.Batch(func() error {
					if err := c.WritePacket([]byte{94, 1}); err != nil {
						return err
					}
					c.PacketBuffer(10) // and nothing comes
					return write()
				})
			}
			if name == "panic" {
				require.PanicsWithValue(t, no, func() { _ = batch() })
			} else {
				require.Equal(t, no, batch())
			}
			require.Equal(t, []byte{94, 1}, <-got)
			require.NoError(t, c.WritePacket([]byte{94, 2}))
			require.Equal(t, []byte{94, 2}, <-got)
			require.False(t, c.Left())
		})
	}
}

func TestBatchOfBadPackets(t *testing.T) {
	c := connected(t, transport.Config{}, nil, drain)
	for _, bad := range [][]byte{{}, {49}, make([]byte, 256<<10+1)} {
		require.Error(t, writeAll(c, []byte{80}, bad))
	}
	require.NoError(t, writeAll(c), "no packets")
	require.NoError(t, c.WritePacket([]byte{80}), "a mistake of the caller ends nothing")
}

func TestBatchOnAConnectionThatFails(t *testing.T) {
	c, below := counted(t, drain)
	below.fail()
	err := writeAll(c, []byte{80})
	require.ErrorIs(t, err, os.ErrPermission)
	called := false
	require.Equal(t, err, c.Batch(func() error { called = true; return nil }))
	require.False(t, called)
	require.Equal(t, err, c.Flush())
}

// A write that fails in the midst of a batch fails the whole batch.
func TestBatchThatFailsBeforeItsEnd(t *testing.T) {
	c, below := counted(t, drain)
	var first error
	err := c.Batch(func() error {
		below.fail()
		for range 10 { // more than the buffer holds
			if err := c.WritePacket(make80(30 << 10)); err != nil && first == nil {
				first = err
			}
		}
		require.Nil(t, c.PacketBuffer(10))
		return nil
	})
	require.ErrorIs(t, first, os.ErrPermission)
	require.Equal(t, first, err)
}

// The rest of a batch that spends the key leaves behind the exchange.
func TestBatchThatSpendsTheKey(t *testing.T) {
	const packets = 25
	got := make(chan []byte, packets)
	c := connected(t, transport.Config{RekeyPackets: 10}, nil, func(p *wire.Peer) {
		p.Send([]byte{52})
		for n := 0; n < packets; {
			if b := p.Receive(94, 20); b[0] == 20 {
				p.ClientKexInit = b
				p.SendKexInit()
				p.FinishKex()
			} else {
				got <- b
				n++
			}
		}
		p.Send([]byte{81})
		p.Drain()
	})
	_, err := c.ReadPacket()
	require.NoError(t, err)
	read := make(chan error, 1)
	go func() { // the reader exchanges the keys
		_, err := c.ReadPacket()
		read <- err
	}()
	require.NoError(t, c.Batch(func() error {
		for n := range byte(packets) {
			if err := c.WritePacket(append(c.PacketBuffer(2), 94, n)); err != nil {
				return err
			}
		}
		return nil
	}))
	for n := range byte(packets) {
		require.Equal(t, []byte{94, n}, <-got)
	}
	require.NoError(t, <-read)
	require.GreaterOrEqual(t, c.State().Exchanges, 2)
}

// Packets of other goroutines join the batch, also while the batch waits for the peer
// and while a packet is being built.
func TestOthersJoinABatch(t *testing.T) {
	const writers, each, size = 4, 300, 1000
	count := make(chan map[byte]uint32, 1)
	c := connected(t, transport.Config{RekeyPackets: 200}, nil, func(p *wire.Peer) {
		next := map[byte]uint32{}
		p.Send([]byte{52})
		for n := 0; n < (writers+1)*each; {
			b := p.Receive(94, 20)
			switch {
			case b[0] == 20:
				p.ClientKexInit = b
				p.SendKexInit()
				p.FinishKex()
			case binary.BigEndian.Uint32(b[2:]) != next[b[1]] || slices.Max(b[6:]) != b[1] || slices.Min(b[6:]) != b[1]:
				p.Send([]byte{81})
				n = 1e9
			default:
				next[b[1]]++
				n++
			}
		}
		count <- next
		p.Drain()
	})
	_, err := c.ReadPacket()
	require.NoError(t, err)
	go func() { _, _ = c.ReadPacket() }()
	packet := func(b []byte, w byte, n uint32) []byte {
		b = binary.BigEndian.AppendUint32(append(b, 94, w), n)
		return append(b, bytes.Repeat([]byte{w}, size)...)
	}
	var group sync.WaitGroup
	for w := range byte(writers) {
		group.Go(func() {
			for n := range uint32(each) {
				if c.WritePacket(packet(nil, w, n)) != nil {
					return
				}
			}
		})
	}
	for n := uint32(0); n < each; n += 10 {
		require.NoError(t, c.Batch(func() error {
			for m := n; m < n+10; m++ {
				if err := c.WritePacket(packet(c.PacketBuffer(6+size), writers, m)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	group.Wait()
	next := <-count
	for w := range byte(writers + 1) {
		require.Equal(t, uint32(each), next[w], "writer %d", w)
	}
}

// A WritePacket waits with the batch for the peer, until the end of the connection.
func TestJoiningABatchThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := stalled(t)
		ended := make(chan error, 3)
		go func() {
			ended <- c.Batch(func() error {
				for range 10 {
					if err := c.WritePacket(make80(30 << 10)); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		synctest.Wait()
		for _, call := range []func() error{c.Flush, func() error { return c.WritePacket([]byte{80}) }} {
			go func() { ended <- call() }()
		}
		synctest.Wait()
		require.Empty(t, ended)
		require.NoError(t, c.Close())
		for range 3 {
			require.ErrorIs(t, <-ended, net.ErrClosed)
		}
	})
}

// swallows is a script that reads everything, and decrypts nothing.
func swallows(p *wire.Peer) {
	p.Handshake()
	p.Send([]byte{52})
	_, _ = io.Copy(io.Discard, p.Conn)
}

func TestNothingIsAllocatedForABatch(t *testing.T) {
	c := client(t, transport.Config{}, swallows)
	require.NoError(t, c.Handshake(t.Context()))
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
		require.LessOrEqual(t, testing.AllocsPerRun(50, func() { _ = c.Batch(write) }), float64(4*allocsPerPacket))
	}
}

func TestManyPacketsAreFewWrites(t *testing.T) {
	var packets [][]byte
	for i := range 1000 {
		packets = append(packets, binary.BigEndian.AppendUint32([]byte{94}, uint32(i)))
	}
	// A packet larger than the whole buffer, among small packets.
	packets = append(packets, bytes.Repeat([]byte{95}, 200000), []byte{96})
	got := make(chan [][]byte, 1)
	c, below := counted(t, func(p *wire.Peer) {
		var all [][]byte
		for range packets {
			all = append(all, p.Receive())
		}
		got <- all
		p.Drain()
	})
	before := below.count()
	require.NoError(t, writeAll(c, packets...))
	require.Equal(t, packets, <-got)
	require.LessOrEqual(t, below.count()-before, 4)
	before = below.count()
	require.NoError(t, c.WritePacket([]byte{80}))
	require.Equal(t, 1, below.count()-before)
}
