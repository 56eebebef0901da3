package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

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
			near, far := sshtest.Pipe()
			over := make(chan struct{})
			s := &script{}
			go func() {
				defer close(over)
				p := newPeer(b, far, s)
				p.handshake()
				_, _ = io.Copy(io.Discard, p.in)
			}()
			c := transport.Client(near, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), RekeyBytes: -1})
			if err := c.Handshake(b.Context()); err != nil {
				b.Fatal(err)
			}
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
			c.Close()
			<-over
		})
	}
}

func BenchmarkReadPacket(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			near, far := sshtest.Pipe()
			over := make(chan struct{})
			s := &script{}
			go func() {
				defer close(over)
				p := newPeer(b, far, s)
				p.handshake()
				payload := make([]byte, size)
				payload[0] = 94
				p.stream(payload)
			}()
			c := transport.Client(near, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), RekeyBytes: -1})
			if err := c.Handshake(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.ReadPacket(); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			<-over
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		near, far := sshtest.Pipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			newPeer(b, far, &script{}).handshake()
		}()
		c := transport.Client(near, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		if err := c.Handshake(b.Context()); err != nil {
			b.Fatal(err)
		}
		<-over
		c.Close()
		far.Close()
	}
}
