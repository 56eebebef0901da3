package transport_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20"
	//lint:ignore SA1019 The construction under test needs the bare authenticator.
	"golang.org/x/crypto/poly1305"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// bytesConn is a connection that says one thing and hangs up.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// protections calls f for every cipher, with every MAC that it needs.
func protections(t *testing.T, f func(t *testing.T, cipher, mac string)) {
	for _, cipher := range transport.Ciphers {
		for i, mac := range transport.MACs {
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
	p := transport.NewPackets(cipher, mac, bytesConn{Reader: bytes.NewReader(stream)})
	for {
		payload, err := p.Open()
		if err != nil {
			return payloads, err
		}
		payloads = append(payloads, bytes.Clone(payload))
	}
}

// sealer makes the packets that open reads.
func sealer(cipher, mac string) *transport.Packets {
	return transport.NewPackets(cipher, mac, bytesConn{})
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

// P1: lengths that are wrong in themselves are refused before anything is
// allocated or waited for.
func TestPacketLengthOutOfBounds(t *testing.T) {
	try := func(t *testing.T, cipher, mac string) {
		for _, length := range []uint32{0, 1, 4, 5, 35001, 262144, 262145, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff} {
			frame := sealer(cipher, mac).SealFrame(length, make([]byte, 60))
			p := transport.NewPackets(cipher, mac, bytesConn{Reader: bytes.NewReader(frame)})
			_, err := p.Open()
			require.ErrorAs(t, err, new(*transport.ProtocolError), "length %d", length)
			require.ErrorContains(t, err, fmt.Sprintf("packet_length %d is not between 6 and 35000", length))
			require.LessOrEqual(t, p.Held(), 1024)
		}
	}
	protections(t, try)
	t.Run("in clear", func(t *testing.T) { try(t, "", "") })
}

// P2 and P3: lengths that do not fit the block size, the padding or the tag.
func TestPacketShape(t *testing.T) {
	try := func(t *testing.T, cipher, mac string) {
		for length := uint32(6); length < 80; length++ {
			body := make([]byte, length)
			body[0] = byte(length)
			_, err := open(cipher, mac, sealer(cipher, mac).SealFrame(length, body))
			require.ErrorAs(t, err, new(*transport.ProtocolError), "length %d", length)
		}
		const length = 28 // a multiple of 16 with the length counted
		for _, counted := range []uint32{0, 4} {
			for padding := range 256 {
				body := make([]byte, length+4-counted)
				body[0] = byte(padding)
				payloads, err := open(cipher, mac, sealer(cipher, mac).SealFrame(uint32(len(body)), body))
				require.Error(t, err)
				if padding < 4 || padding > len(body)-2 {
					require.ErrorAs(t, err, new(*transport.ProtocolError), "padding %d", padding)
					require.Empty(t, payloads)
				}
			}
		}
	}
	protections(t, try)
	t.Run("in clear", func(t *testing.T) { try(t, "", "") })
}

// P4: no byte of a packet can be changed, and nothing is delivered of it.
func TestFlippedBit(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		s := sealer(cipher, mac)
		stream := bytes.Clone(s.Seal(bytes.Repeat([]byte{94}, 100)))
		first := len(stream)
		// What follows completes a packet whose length has grown by the flip.
		for range 3 {
			stream = append(stream, s.Seal(make([]byte, 30000))...)
		}
		for i := range first {
			for bit := range 8 {
				if i > 5 && bit != i%8 {
					continue // each bit of the two lengths, and one of each byte behind
				}
				bad := bytes.Clone(stream)
				bad[i] ^= 1 << bit
				payloads, err := open(cipher, mac, bad)
				require.ErrorAs(t, err, new(*transport.ProtocolError), "byte %d, bit %d", i, bit)
				require.Empty(t, payloads, "byte %d, bit %d", i, bit)
			}
		}
	})
}

// P6: packets are authentic only in their place.
func TestPacketOutOfPlace(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		s := sealer(cipher, mac)
		var p [3][]byte
		for i := range p {
			p[i] = bytes.Clone(s.Seal([]byte{80, byte(i)}))
		}
		for name, order := range map[string][]int{
			"replayed": {0, 0}, "dropped": {0, 2}, "swapped": {0, 2, 1}, "first dropped": {1}, "replayed later": {0, 1, 0},
		} {
			var stream []byte
			for _, i := range order {
				stream = append(stream, p[i]...)
			}
			// More bytes for a length that is decrypted wrongly.
			payloads, err := open(cipher, mac, append(stream, make([]byte, 40000)...))
			require.ErrorAs(t, err, new(*transport.ProtocolError), name)
			for i, payload := range payloads {
				require.Equal(t, []byte{80, byte(i)}, payload, name)
			}
			require.Less(t, len(payloads), len(order)+order[0], name)
		}
	})
}

func TestCutPacketIsNoGoodEnd(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		packet := sealer(cipher, mac).Seal([]byte("payload"))
		for n := range packet {
			payloads, err := open(cipher, mac, packet[:n])
			require.Empty(t, payloads)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NotErrorIs(t, err, io.EOF)
		}
	})
}

// The fast path of ChaCha20 is the plain construction of OpenSSH PROTOCOL
// section 1.7, on both sides of its threshold.
func TestChaCha20IsThePlainConstruction(t *testing.T) {
	const name = "chacha20-poly1305@openssh.com"
	s := sealer(name, "")
	key := s.Key()
	for seq := range uint32(2*transport.ChaChaShort + 64) {
		payload := bytes.Repeat([]byte{byte(seq)}, int(seq)+1)
		got := bytes.Clone(s.Seal(payload))
		n := len(got) - poly1305.TagSize
		nonce := binary.BigEndian.AppendUint64(make([]byte, 4), uint64(seq))

		length, err := chacha20.NewUnauthenticatedCipher(key[32:], nonce)
		require.NoError(t, err)
		head := make([]byte, 4)
		length.XORKeyStream(head, got[:4])
		require.Equal(t, uint32(n-4), binary.BigEndian.Uint32(head))

		content, err := chacha20.NewUnauthenticatedCipher(key[:32], nonce)
		require.NoError(t, err)
		var authKey [32]byte
		content.XORKeyStream(authKey[:], authKey[:])
		require.True(t, poly1305.Verify((*[16]byte)(got[n:]), got[:n], &authKey))
		content.SetCounter(1)
		body := make([]byte, n-4)
		content.XORKeyStream(body, got[4:n])
		require.Equal(t, payload, body[1:1+len(payload)])
		require.Equal(t, len(body), 1+len(payload)+int(body[0]))
	}
}

func TestNothingIsAllocatedForAPacket(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		for name, below := range belows {
			near, far := below(t)
			p := transport.NewPackets(cipher, mac, near)
			for _, size := range []int{1, 100, 32 << 10} {
				payload := make([]byte, size)
				require.LessOrEqual(t, testing.AllocsPerRun(50, func() {
					if _, err := far.Write(p.Seal(payload)); err != nil {
						panic(err)
					}
					if _, err := p.Open(); err != nil {
						panic(err)
					}
				}), float64(allocsPerPacket), "%d bytes, %s", size, name)
			}
		}
	})
}

// What a packet is appended to must not be the next one.
func TestReturnedPacketHasNoRoomBehindIt(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		p.SendRaw(append(p.Seal([]byte{90, 1}), p.Seal([]byte{90, 2})...))
		p.Drain()
	})
	p, err := c.ReadPacket()
	require.NoError(t, err)
	_ = append(p, make([]byte, 100)...)
	p, err = c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{90, 2}, p)
}
