package kex_test

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

func TestNamesOfMethods(t *testing.T) {
	require.Len(t, kex.Names, 14)
	for _, name := range kex.Names {
		require.True(t, kex.Has(name), name)
		require.Contains(t, []int{32, 48, 64}, kex.Hash(name).Size(), name)
	}
	for _, name := range []string{"", "none", "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "ext-info-c"} {
		require.False(t, kex.Has(name), name)
	}
}

func TestPostQuantumMethods(t *testing.T) {
	var names []string
	for _, name := range kex.Names {
		if kex.PostQuantum(name) {
			names = append(names, name)
		}
	}
	require.Equal(t, []string{
		"mlkem1024nistp384-sha384", "mlkem768nistp256-sha256", "mlkem768x25519-sha256",
		"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com",
	}, names)
	require.False(t, kex.PostQuantum("mlkem768x25519-sha512"))
}

// Every method refuses a reply cut short, with a byte behind, or of another number.
func TestMalformedReplies(t *testing.T) {
	reply := ssh.Marshal(&kexReplyMsg{[]byte("key"), []byte{9}, []byte("signature")})
	for _, name := range kex.Names {
		for _, bad := range [][]byte{reply[:len(reply)-1], append(bytes.Clone(reply), 0), {31}, {21}, {32, 0, 0, 0, 0}} {
			_, err := run(name, [][]byte{bad})
			require.ErrorContains(t, err, "malformed key exchange reply", name)
		}
	}
}

// RFC 4251 section 5: an mpint has no byte more than the number and its sign need.
func TestSecretAsAnInteger(t *testing.T) {
	for _, n := range [][]byte{{}, {0}, {0, 0, 0}, {1}, {0x7f}, {0x80}, {0, 0x80}, {0, 0, 1, 2}, bytes.Repeat([]byte{0xff}, 66)} {
		want := ssh.Marshal(struct{ N *big.Int }{new(big.Int).SetBytes(n)})
		require.Equal(t, want, kex.AppendInt(nil, n), "%x", n)
	}
}
