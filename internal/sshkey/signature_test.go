package sshkey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

func newSigner(t *testing.T, private any, err error) ssh.AlgorithmSigner {
	t.Helper()
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer.(ssh.AlgorithmSigner)
}

func ed25519Signer(t *testing.T) ssh.AlgorithmSigner {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return newSigner(t, private, err)
}

func TestVerify(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaSigner := newSigner(t, rsaKey, err)
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ecdsaSigner := newSigner(t, ecdsaKey, err)
	ed := ed25519Signer(t)
	const data = "data"
	sign := func(s ssh.AlgorithmSigner, algorithm, data string) *ssh.Signature {
		signature, err := s.SignWithAlgorithm(rand.Reader, []byte(data), algorithm)
		require.NoError(t, err)
		return signature
	}
	longer := sign(ed, ssh.KeyAlgoED25519, data)
	longer.Rest = []byte("12345")
	strange := sign(ed, ssh.KeyAlgoED25519, data)
	strange.Format = strings.Repeat("x", 1000)
	for name, test := range map[string]struct {
		signer    ssh.Signer
		signature *ssh.Signature
		want      string
	}{
		"Ed25519":          {ed, sign(ed, ssh.KeyAlgoED25519, data), ""},
		"ECDSA":            {ecdsaSigner, sign(ecdsaSigner, ssh.KeyAlgoECDSA384, data), ""},
		"RSA and SHA-512":  {rsaSigner, sign(rsaSigner, ssh.KeyAlgoRSASHA512, data), ""},
		"RSA and SHA-256":  {rsaSigner, sign(rsaSigner, ssh.KeyAlgoRSASHA256, data), ""},
		"RSA and SHA-1":    {rsaSigner, sign(rsaSigner, ssh.KeyAlgoRSA, data), `made with "ssh-rsa" instead of rsa-sha2-512 or rsa-sha2-256`},
		"other data":       {ed, sign(ed, ssh.KeyAlgoED25519, "date"), "did not verify"},
		"another key":      {ed, sign(ed25519Signer(t), ssh.KeyAlgoED25519, data), "did not verify"},
		"another type":     {ed, sign(ecdsaSigner, ssh.KeyAlgoECDSA384, data), `made with "ecdsa-sha2-nistp384" instead of ssh-ed25519`},
		"bytes behind":     {ed, longer, "5 bytes too many"},
		"a name of no end": {ed, strange, `"…`},
	} {
		t.Run(name, func(t *testing.T) {
			key := test.signer.PublicKey()
			err := sshkey.Verify(key, sshkey.Signatures(key.Type()), []byte(data), ssh.Marshal(test.signature))
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.Less(t, len(err.Error()), 200)
		})
	}
	require.ErrorContains(t, sshkey.Verify(ed.PublicKey(), []string{ssh.KeyAlgoED25519}, nil, []byte("x")), "malformed signature")
	require.Error(t, sshkey.Verify(ed.PublicKey(), nil, []byte(data), ssh.Marshal(sign(ed, ssh.KeyAlgoED25519, data))), "no format counts")
}

// A signature of a security token ends with flags and a counter.
func TestVerifySecurityToken(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	const application, data = "ssh:", "data"
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, application}))
	require.NoError(t, err)

	rest := binary.BigEndian.AppendUint32([]byte{1}, 7)
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256([]byte(data))
	signed := append(append(app[:], rest...), message[:]...)
	signature := &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(private, signed), Rest: rest}
	require.NoError(t, sshkey.Verify(key, sshkey.Signatures(key.Type()), []byte(data), ssh.Marshal(signature)))
	signature.Rest = append(rest, 0)
	require.Error(t, sshkey.Verify(key, sshkey.Signatures(key.Type()), []byte(data), ssh.Marshal(signature)))
}
