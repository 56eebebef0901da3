package packetio_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// P4: no byte of a packet can be changed, and nothing of a changed packet is delivered.
func TestFlippedBit(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		s := sealer(cipher, mac)
		stream := bytes.Clone(s.Seal(bytes.Repeat([]byte{94}, 100)))
		first := len(stream)
		// More packets complete a packet whose length has grown by the flip.
		for range 3 {
			stream = append(stream, s.Seal(make([]byte, 30000))...)
		}
		for i := range first {
			for bit := range 8 {
				if i > 5 && bit != i%8 {
					continue // each bit of the two lengths, and a bit of each byte behind
				}
				bad := bytes.Clone(stream)
				bad[i] ^= 1 << bit
				payloads, err := open(cipher, mac, bad)
				require.ErrorAs(t, err, new(*packetio.Error), "byte %d, bit %d", i, bit)
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
			// More bytes for a wrongly decrypted length.
			payloads, err := open(cipher, mac, append(stream, make([]byte, 40000)...))
			require.ErrorAs(t, err, new(*packetio.Error), name)
			for i, payload := range payloads {
				require.Equal(t, []byte{80, byte(i)}, payload, name)
			}
			require.Less(t, len(payloads), len(order)+order[0], name)
		}
	})
}

func TestNamesOfAlgorithms(t *testing.T) {
	for _, name := range packetio.Ciphers {
		require.True(t, packetio.HasCipher(name))
		require.Equal(t, name[len(name)-3:] != "ctr", packetio.IsAEAD(name), name)
	}
	for _, name := range packetio.MACs {
		require.True(t, packetio.HasMAC(name))
	}
	for _, name := range []string{"", "none", "aes128-cbc", "3des-cbc", "arcfour", "hmac-sha1", "hmac-md5"} {
		require.False(t, packetio.HasCipher(name), name)
		require.False(t, packetio.HasMAC(name), name)
	}
}

func TestKeysOfTheWrongSize(t *testing.T) {
	short := func(int) []byte { return make([]byte, 7) }
	for _, name := range packetio.Ciphers {
		_, err := packetio.NewCipher(name, packetio.MACs[0], short, short, short)
		require.Error(t, err, name)
	}
}
