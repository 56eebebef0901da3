package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// loop is a connection that gives back what it gets, in pieces as large as the
// reader asks for: many packets for each read and each write.
type loop struct {
	net.Conn
	bytes.Buffer
}

func (l *loop) Read(p []byte) (int, error)  { return l.Buffer.Read(p) }
func (l *loop) Write(p []byte) (int, error) { return l.Buffer.Write(p) }

// BenchmarkPacket seals and opens packets, eight at a time, without anything
// that waits: what the cipher and the framing cost.
func BenchmarkPacket(b *testing.B) {
	for _, cipher := range transport.Ciphers {
		macs := transport.MACs
		if cipher[len(cipher)-3:] != "ctr" {
			macs = macs[:1]
		}
		for _, mac := range macs {
			for _, size := range []int{64, 1 << 10, 32 << 10} {
				name := cipher
				if len(macs) > 1 {
					name += "+" + mac
				}
				b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
					p := transport.NewPackets(cipher, mac, new(loop))
					payloads := make([][]byte, 8)
					for i := range payloads {
						payloads[i] = make([]byte, size)
					}
					b.SetBytes(int64(len(payloads) * size))
					b.ReportAllocs()
					for b.Loop() {
						if err := p.Write(payloads...); err != nil {
							b.Fatal(err)
						}
						for range payloads {
							if _, err := p.Open(); err != nil {
								b.Fatal(err)
							}
						}
					}
				})
			}
		}
	}
}

func BenchmarkWritePackets(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := benchmarked(b, func(p *sshtest.Peer) {
				_, _ = io.Copy(io.Discard, p.Conn)
			})
			packets := make([][]byte, 8)
			for i := range packets {
				packets[i] = make([]byte, size)
				packets[i][0] = 94
			}
			b.SetBytes(int64(len(packets) * size))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.WritePackets(packets...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadPacket(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := benchmarked(b, func(p *sshtest.Peer) {
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
func benchmarked(b *testing.B, script func(p *sshtest.Peer)) *transport.Conn {
	s := scripted(b, func(p *sshtest.Peer) {
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
