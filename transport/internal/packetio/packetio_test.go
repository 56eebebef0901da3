package packetio_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// bytesConn is a connection with fixed bytes and an end.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// protections calls f for every cipher, with every MAC if the cipher needs a MAC.
func protections(t *testing.T, f func(t *testing.T, cipher, mac string)) {
	for _, cipher := range packetio.Ciphers {
		for i, mac := range packetio.MACs {
			name := cipher + " " + mac
			if aead := cipher[len(cipher)-3:] != "ctr"; aead {
				if i > 0 {
					continue
				}
				name = cipher
			}
			t.Run(name, func(t *testing.T) { f(t, cipher, mac) })
		}
	}
}

// open runs the packet layer over a stream until its first error.
func open(cipher, mac string, stream []byte) (payloads [][]byte, err error) {
	p := packetio.NewPackets(cipher, mac, bytesConn{Reader: bytes.NewReader(stream)})
	for {
		payload, err := p.Open()
		if err != nil {
			return payloads, err
		}
		payloads = append(payloads, bytes.Clone(payload))
	}
}

// sealer makes packets for open.
func sealer(cipher, mac string) *packetio.Packets {
	return packetio.NewPackets(cipher, mac, bytesConn{})
}

func TestEachPacketIsReadAsItWasSent(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		s := sealer(cipher, mac)
		var stream []byte
		var want [][]byte
		for n := 1; n < 600; n++ {
			payload := bytes.Repeat([]byte{byte(n)}, n)
			stream, want = append(stream, s.Seal(payload)...), append(want, payload)
		}
		got, err := open(cipher, mac, stream)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, want, got)
	})
}
