package transport_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := benchmarked(b, func(p *wire.Peer) {
				_, _ = io.Copy(io.Discard, p.Conn)
			})
			packet := make([]byte, size)
			packet[0] = 94
			write := func() error {
				for range 8 {
					if err := c.WritePacket(packet); err != nil {
						return err
					}
				}
				return nil
			}
			b.SetBytes(int64(8 * size))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Batch(write); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadPacket(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := benchmarked(b, func(p *wire.Peer) {
				var packet any = append([]byte{94}, make([]byte, size-1)...)
				for {
					p.Send(packet)
				}
			})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.ReadPacket(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchmarked returns a client after its handshake.
func benchmarked(b *testing.B, script func(p *wire.Peer)) *transport.Conn {
	s := scripted(b, func(p *wire.Peer) {
		p.Handshake()
		script(p)
	})
	c := transport.Client(dial(b, s), &transport.Config{
		HostKey: transport.FixedHostKey(hostKey().PublicKey()), RekeyBytes: -1, LoginBytes: -1, LoginPackets: -1,
	})
	b.Cleanup(func() { c.Close() })
	require.NoError(b, c.Handshake(b.Context()))
	return c
}

func BenchmarkHandshake(b *testing.B) {
	s := scripted(b, honest)
	b.ReportAllocs()
	for b.Loop() {
		c := transport.Client(dial(b, s), &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		if err := c.Handshake(b.Context()); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
