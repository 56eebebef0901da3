package packetio_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

func TestPauses(t *testing.T) {
	const packet = 33 << 10
	turn := 0
	for name, c := range map[string]struct {
		read        func(paused bool) int
		least, most int // of 1,000 reads
	}{
		"never for small messages":        {func(bool) int { return 500 }, 0, 0},
		"never for reads that bring much": {func(bool) int { return 200 << 10 }, 0, 0},
		"never on a slow path":            {func(bool) int { return 8 << 10 }, 0, 0},
		"never where small messages are in between": {func(bool) int {
			if turn++; turn%10 == 0 {
				return 100
			}
			return packet
		}, 0, 0},
		"always in a stream that they bundle": {func(paused bool) int {
			if paused {
				return 3 * packet
			}
			return packet
		}, 980, 984},
		"seldom where they bring no more": {func(bool) int { return packet }, 40, 62},
		"seldom for a peer that waits for us": {func(paused bool) int {
			if paused {
				return 0
			}
			return packet
		}, 40, 62},
	} {
		t.Run(name, func(t *testing.T) {
			pauses := packetio.Pauses(1000, c.read)
			require.GreaterOrEqual(t, pauses, c.least)
			require.LessOrEqual(t, pauses, c.most)
		})
	}
}

// The large reads of a socket, with the pauses between them, lose nothing.
func TestPacedStreamIsWhole(t *testing.T) {
	near, far := sockets(t)
	s, p := sealer("aes128-gcm@openssh.com", ""), packetio.NewPackets("aes128-gcm@openssh.com", "", near)
	var stream []byte
	for i := range 500 {
		payload := make([]byte, 32<<10)
		payload[0] = byte(i)
		stream = append(stream, s.Seal(payload)...)
	}
	send(t, far, stream)
	for i := range 500 {
		payload, err := p.Open()
		require.NoError(t, err)
		require.Equal(t, byte(i), payload[0])
	}
}
