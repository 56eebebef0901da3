package kex_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

// hybrids are the hybrid methods, from the server's point of view.
var hybrids = map[string]struct {
	publicSize, ciphertextSize int
	encapsulate                func(t *testing.T, public []byte) (secret, ciphertext []byte)
	curve                      ecdh.Curve
	hash                       crypto.Hash
}{
	"mlkem768x25519-sha256":              {1184, 1088, encapsulate768, ecdh.X25519(), crypto.SHA256},
	"mlkem768nistp256-sha256":            {1184, 1088, encapsulate768, ecdh.P256(), crypto.SHA256},
	"mlkem1024nistp384-sha384":           {1568, 1568, encapsulate1024, ecdh.P384(), crypto.SHA384},
	"sntrup761x25519-sha512":             {1158, 1039, encapsulateSntrup, ecdh.X25519(), crypto.SHA512},
	"sntrup761x25519-sha512@openssh.com": {1158, 1039, encapsulateSntrup, ecdh.X25519(), crypto.SHA512},
}

func encapsulate768(t *testing.T, public []byte) (secret, ciphertext []byte) {
	key, err := mlkem.NewEncapsulationKey768(public)
	require.NoError(t, err)
	return key.Encapsulate()
}

func encapsulate1024(t *testing.T, public []byte) (secret, ciphertext []byte) {
	key, err := mlkem.NewEncapsulationKey1024(public)
	require.NoError(t, err)
	return key.Encapsulate()
}

func encapsulateSntrup(t *testing.T, public []byte) (secret, ciphertext []byte) {
	key, err := sntrup761.NewEncapsulationKey(public)
	require.NoError(t, err)
	return key.Encapsulate()
}

// K12: the secret is a string. A curve's secret keeps the zeros in front, so runs go on
// until there is a zero.
func TestHybrid(t *testing.T) {
	for name, half := range hybrids {
		for zero := false; !zero; {
			m := kex.New(name)
			packet, err := m.Begin()
			require.NoError(t, err)
			var init curveInit
			require.NoError(t, ssh.Unmarshal(packet, &init))
			quantum, ciphertext := half.encapsulate(t, init.Public[:half.publicSize])
			require.Len(t, ciphertext, half.ciphertextSize)
			point, err := half.curve.NewPublicKey(init.Public[half.publicSize:])
			require.NoError(t, err)
			server, err := half.curve.GenerateKey(rand.Reader)
			require.NoError(t, err)
			classic, err := server.ECDH(point)
			require.NoError(t, err)
			zero = classic[0] == 0 || half.ciphertextSize == 1039 // whose keys take time

			reply := append(ciphertext, server.PublicKey().Bytes()...)
			_, result, err := m.Next(ssh.Marshal(&kexReplyMsg{[]byte("key"), reply, []byte("signature")}))
			require.NoError(t, err)
			h := half.hash.New()
			h.Write(append(quantum, classic...))
			require.Equal(t, &kex.Result{
				HostKey: []byte("key"), Signature: []byte("signature"), Secret: ssh.Marshal(struct{ S []byte }{h.Sum(nil)}),
				Values: ssh.Marshal(struct{ Client, Server []byte }{init.Public, reply}),
			}, result)
			require.Equal(t, half.hash.Size(), kex.Hash(name).Size())
		}
	}
}

// K12: replies of a wrong size, and points that are none.
func TestHybridReplyThatIsNone(t *testing.T) {
	for name, half := range hybrids {
		server, err := half.curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		point := server.PublicKey().Bytes()
		good := append(make([]byte, half.ciphertextSize), point...)
		for _, bad := range [][]byte{nil, good[1:], append(bytes.Clone(good), 0), good[:half.ciphertextSize], point, make([]byte, 35000)} {
			_, err := run(name, [][]byte{ssh.Marshal(&kexReplyMsg{Public: bad})})
			require.ErrorContains(t, err, "key exchange value has", name)
		}
		_, err = run(name, [][]byte{ssh.Marshal(&kexReplyMsg{Public: make([]byte, len(good))})})
		require.ErrorContains(t, err, "key exchange value is not valid", name)
	}
}

// K12: any ciphertext gives a secret, and a wrong one another secret.
func TestHybridCiphertextForAnotherKey(t *testing.T) {
	for name, half := range hybrids {
		m := kex.New(name)
		packet, err := m.Begin()
		require.NoError(t, err)
		var init curveInit
		require.NoError(t, ssh.Unmarshal(packet, &init))
		_, ciphertext := half.encapsulate(t, init.Public[:half.publicSize])
		server, err := half.curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		secrets := map[string]bool{}
		for _, change := range []func(){
			func() {}, func() { ciphertext[0] ^= 1 }, func() { ciphertext[len(ciphertext)-1] ^= 0x80 },
			func() { _, _ = rand.Read(ciphertext) }, func() { clear(ciphertext) },
		} {
			change()
			reply := append(bytes.Clone(ciphertext), server.PublicKey().Bytes()...)
			_, result, err := m.Next(ssh.Marshal(&kexReplyMsg{Public: reply}))
			require.NoError(t, err, name)
			secrets[string(result.Secret)] = true
		}
		require.Len(t, secrets, 5, name)
	}
}
