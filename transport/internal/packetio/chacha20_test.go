package packetio_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20"

	//lint:ignore SA1019 The construction under test needs the bare authenticator.
	"golang.org/x/crypto/poly1305"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// The fast path of ChaCha20 is the plain construction of OpenSSH PROTOCOL
// section 1.7, on both sides of its threshold.
func TestChaCha20IsThePlainConstruction(t *testing.T) {
	const name = "chacha20-poly1305@openssh.com"
	s := sealer(name, "")
	key := s.Key(64)
	for seq := range uint32(2*packetio.ChaChaShort + 64) {
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
