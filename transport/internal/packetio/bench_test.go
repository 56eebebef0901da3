package packetio_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// loop is a connection that gives all bytes back, in pieces as large as the reader asks
// for: many packets for each read and each write.
type loop struct {
	net.Conn
	bytes.Buffer
}

func (l *loop) Read(p []byte) (int, error)  { return l.Buffer.Read(p) }
func (l *loop) Write(p []byte) (int, error) { return l.Buffer.Write(p) }

// BenchmarkPacket seals and opens packets, eight at a time, without a wait: the cost of
// cipher and framing.
func BenchmarkPacket(b *testing.B) {
	for _, cipher := range packetio.Ciphers {
		macs := packetio.MACs
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
					p := packetio.NewPackets(cipher, mac, new(loop))
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
