package transport_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// securityKey signs as a FIDO authenticator would (OpenSSH PROTOCOL.u2f), in
// software. flags says whether somebody has touched it.
type securityKey struct {
	private crypto.Signer
	public  ssh.PublicKey
	flags   byte
}

const application = "ssh:"

func newSecurityKey(t *testing.T, keyType string, flags byte) ssh.Signer {
	t.Helper()
	var private crypto.Signer
	var blob []byte
	if keyType == ssh.KeyAlgoSKED25519 {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		private = key
		blob = ssh.Marshal(struct {
			Type        string
			Key         []byte
			Application string
		}{keyType, public, application})
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		point, err := key.PublicKey.Bytes()
		require.NoError(t, err)
		private = key
		blob = ssh.Marshal(struct {
			Type, Curve string
			Key         []byte
			Application string
		}{keyType, "nistp256", point, application})
	}
	public, err := ssh.ParsePublicKey(blob)
	require.NoError(t, err)
	return &securityKey{private, public, flags}
}

func (k *securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k *securityKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	rest := []byte{k.flags, 0, 0, 0, 9} // and the authenticator's counter
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	signed := append(append(app[:], rest...), message[:]...)
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		blob, err := k.private.Sign(random, signed, crypto.Hash(0))
		return &ssh.Signature{Format: k.public.Type(), Blob: blob, Rest: rest}, err
	}
	digest := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(random, k.private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		return nil, err
	}
	blob := ssh.Marshal(struct{ R, S *big.Int }{r, s})
	return &ssh.Signature{Format: k.public.Type(), Blob: blob, Rest: rest}, nil
}

func TestSecurityKeysAsHostKeys(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for _, keyType := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		touched, untouched := newSecurityKey(t, keyType, 1), newSecurityKey(t, keyType, 0)
		for name, key := range map[string]ssh.Signer{
			keyType:             touched,
			"certificate of it": sshtest.NewCertSigner(t, ca, touched, ssh.HostCert, "host"),
		} {
			t.Run(keyType+"/"+name, func(t *testing.T) {
				algorithm := key.PublicKey().Type()
				tc := transport.Config{HostKey: transport.FixedHostKey(key.PublicKey())}
				c := connected(t, tc, shows(key, algorithm), drain)
				require.Equal(t, algorithm, c.State().HostKeyAlgorithm)
				require.Equal(t, key.PublicKey().Marshal(), c.State().HostKey.Marshal())
			})
		}
		t.Run(keyType+"/untouched", func(t *testing.T) {
			tc := transport.Config{HostKey: transport.FixedHostKey(untouched.PublicKey())}
			require.ErrorIs(t, refused(t, tc, shows(untouched, keyType)), transport.ErrHostKeySignature)
		})
	}
}
