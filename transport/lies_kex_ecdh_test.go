package transport_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

func publicReply(public []byte) func([]byte) []byte {
	return func([]byte) []byte { return ssh.Marshal(&wire.KexECDHReplyMsg{Public: public}) }
}

// lowOrder are the X25519 values with an all-zero secret, by RFC 7748 section 7, and
// their non-canonical spellings.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// K9: points of low order, and of a wrong size.
func TestX25519RefusesBadPoints(t *testing.T) {
	for _, point := range lowOrder {
		err := replyTo(t, "curve25519-sha256", publicReply(unhex(point)))
		require.ErrorContains(t, err, "key exchange value is not valid")
	}
	for _, n := range []int{0, 31, 33, 65} {
		replyTo(t, "curve25519-sha256", publicReply(bytes.Repeat([]byte{9}, n)))
	}
}

// K10: bytes that are no point on the curve.
func TestECDHRefusesBadPoints(t *testing.T) {
	for name, curve := range map[string]ecdh.Curve{
		"ecdh-sha2-nistp256": ecdh.P256(), "ecdh-sha2-nistp384": ecdh.P384(), "ecdh-sha2-nistp521": ecdh.P521(),
	} {
		key, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		good := key.PublicKey().Bytes()
		other, err := ecdh.P384().GenerateKey(rand.Reader)
		require.NoError(t, err)
		if curve == ecdh.P384() {
			other, err = ecdh.P256().GenerateKey(rand.Reader)
			require.NoError(t, err)
		}
		change := func(f func(b []byte)) []byte {
			b := bytes.Clone(good)
			f(b)
			return b
		}
		for what, point := range map[string][]byte{
			"nothing":       {},
			"infinity":      {0},
			"zero":          make([]byte, len(good)),
			"zero affine":   change(func(b []byte) { clear(b[1:]) }),
			"off the curve": change(func(b []byte) { b[len(b)-1] ^= 1 }),
			"hybrid":        change(func(b []byte) { b[0] = 6 | b[len(b)-1]&1 }),
			"compressed":    append([]byte{2 | good[len(good)-1]&1}, good[1:1+len(good)/2]...),
			"other curve":   other.PublicKey().Bytes(),
			"byte too many": append(bytes.Clone(good), 0),
			"byte too few":  good[:len(good)-1],
			"above the prime": change(func(b []byte) {
				for i := range b[1:] {
					b[1+i] = 0xff
				}
			}),
		} {
			err := replyTo(t, name, publicReply(point))
			require.ErrorContains(t, err, "key exchange value is not valid", what)
		}
	}
}

// K12: replies of a wrong size, with a bad point, and with a ciphertext for another key.
func TestHybridsRefuseBadReplies(t *testing.T) {
	x25519, p256, p384 := ecdh.X25519(), ecdh.P256(), ecdh.P384()
	for name, half := range map[string]struct {
		ciphertext int
		curve      ecdh.Curve
	}{
		"mlkem768x25519-sha256":              {mlkem.CiphertextSize768, x25519},
		"mlkem768nistp256-sha256":            {mlkem.CiphertextSize768, p256},
		"mlkem1024nistp384-sha384":           {mlkem.CiphertextSize1024, p384},
		"sntrup761x25519-sha512":             {sntrup761.CiphertextSize, x25519},
		"sntrup761x25519-sha512@openssh.com": {sntrup761.CiphertextSize, x25519},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := half.curve.GenerateKey(rand.Reader)
			require.NoError(t, err)
			point := key.PublicKey().Bytes()
			ciphertext := make([]byte, half.ciphertext)
			good := append(bytes.Clone(ciphertext), point...)
			for _, reply := range [][]byte{nil, good[:len(good)-1], append(bytes.Clone(good), 0), ciphertext, point} {
				err := replyTo(t, name, publicReply(reply))
				require.ErrorContains(t, err, fmt.Sprintf("key exchange value has %d bytes, not %d", len(reply), len(good)))
			}
			points := [][]byte{make([]byte, len(point))}
			if half.curve == x25519 {
				for _, low := range lowOrder {
					points = append(points, unhex(low))
				}
			}
			for _, bad := range points {
				err := replyTo(t, name, publicReply(append(bytes.Clone(ciphertext), bad...)))
				require.ErrorContains(t, err, "key exchange value is not valid")
			}
			// A ciphertext for another key gives another secret, and the signature
			// does not cover the secret.
			for range 5 {
				_, _ = rand.Read(good[:half.ciphertext])
				err = refused(t, transport.Config{KeyExchanges: []string{name}}, answers(name, func([]byte) []byte {
					sig, err := hostKey().Sign(rand.Reader, []byte("some hash"))
					if err != nil {
						panic(err)
					}
					return ssh.Marshal(&wire.KexECDHReplyMsg{HostKey: hostKey().PublicKey().Marshal(), Public: good, Signature: ssh.Marshal(sig)})
				}))
				require.ErrorIs(t, err, transport.ErrHostKeySignature)
			}
		})
	}
}
