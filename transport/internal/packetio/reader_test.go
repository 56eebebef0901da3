package packetio_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// P1: lengths out of bounds are refused before anything is allocated or waited for.
func TestPacketLengthOutOfBounds(t *testing.T) {
	try := func(t *testing.T, cipher, mac string) {
		for _, length := range []uint32{0, 1, 4, 5, 35001, 262144, 262145, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff} {
			frame := sealer(cipher, mac).SealFrame(length, make([]byte, 60))
			p := packetio.NewPackets(cipher, mac, bytesConn{Reader: bytes.NewReader(frame)})
			_, err := p.Open()
			require.ErrorAs(t, err, new(*packetio.Error), "length %d", length)
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
			require.ErrorAs(t, err, new(*packetio.Error), "length %d", length)
		}
		const length = 28 // a multiple of 16 with the length counted
		for _, counted := range []uint32{0, 4} {
			for padding := range 256 {
				body := make([]byte, length+4-counted)
				body[0] = byte(padding)
				payloads, err := open(cipher, mac, sealer(cipher, mac).SealFrame(uint32(len(body)), body))
				require.Error(t, err)
				if padding < 4 || padding > len(body)-2 {
					require.ErrorAs(t, err, new(*packetio.Error), "padding %d", padding)
					require.Empty(t, payloads)
				}
			}
		}
	}
	protections(t, try)
	t.Run("in clear", func(t *testing.T) { try(t, "", "") })
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

func TestLine(t *testing.T) {
	lines := func(stream string) (got []string, err error) {
		p := packetio.NewPackets("", "", bytesConn{Reader: strings.NewReader(stream)})
		for {
			line, err := p.Line(5)
			got = append(got, line)
			if err != nil {
				return got, err
			}
			if !strings.HasSuffix(line, "\n") {
				return got, nil
			}
		}
	}
	got, err := lines("ab\r\n\n1234\nrest")
	require.Equal(t, []string{"ab\r\n", "\n", "1234\n", "rest"}, got)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	got, err = lines("12345678")
	require.Equal(t, []string{"12345"}, got)
	require.NoError(t, err)
}

// A line and a packet can come in the same bytes, and both count.
func TestPacketBehindALine(t *testing.T) {
	stream := append([]byte("SSH-2.0-x\n"), sealer("", "").Seal([]byte{80, 1})...)
	p := packetio.NewPackets("", "", bytesConn{Reader: bytes.NewReader(stream)})
	line, err := p.Line(255)
	require.NoError(t, err)
	require.Equal(t, "SSH-2.0-x\n", line)
	payload, err := p.Open()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 1}, payload)
	require.Equal(t, packetio.Usage{Packets: 1, Bytes: int64(len(stream))}, p.Total())
}
