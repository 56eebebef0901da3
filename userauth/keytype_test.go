package userauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestKeysOfAllKindsSignWhatTheServerVerifies(t *testing.T) {
	for name, signer := range map[string]ssh.Signer{
		"ed25519":             ed25519Signer(t),
		"ecdsa":               ecdsaSigner(t),
		"rsa":                 rsaSigner(t),
		"plain ed25519":       plainSigner{ed25519Signer(t)},
		"ed25519 certificate": certSigner(t, ed25519Signer(t)),
		"ecdsa certificate":   certSigner(t, ecdsaSigner(t)),
		"rsa certificate":     certSigner(t, rsaSigner(t)),
	} {
		t.Run(name, func(t *testing.T) {
			p := keyServer(t, signer.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer)))
			p = keyServer(t, signer.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer, ed25519Signer(t))))
		})
	}
}

func TestKeyTypeThatNobodyKnowsIsOfferedAsItIs(t *testing.T) {
	key := fakeKey{"new@example.com", []byte("\x00\x00\x00\x0fnew@example.com")}
	signer := plainSigner{fakeSigner{key, func([]byte, string) (*ssh.Signature, error) {
		return &ssh.Signature{Format: "new@example.com", Blob: []byte("signed")}, nil
	}}}
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer)))
	require.Equal(t, []string{"sign new@example.com"}, p.keyRequests(t))
}
