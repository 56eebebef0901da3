package userauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestKeyName(t *testing.T) {
	signer := ed25519Signer(t)
	fingerprint := ssh.FingerprintSHA256(signer.PublicKey())
	require.Equal(t, "ssh-ed25519 "+fingerprint, userauth.KeyName(signer.PublicKey()))
	old, renewed := certSigner(t, signer).PublicKey(), certSigner(t, signer).PublicKey()
	require.NotEqual(t, old.Marshal(), renewed.Marshal())
	require.Equal(t, "ssh-ed25519-cert-v01@openssh.com "+fingerprint, userauth.KeyName(old))
	require.Equal(t, userauth.KeyName(old), userauth.KeyName(renewed))
	// An agent gives certificates in this form.
	require.Equal(t, userauth.KeyName(old), userauth.KeyName(&agent.Key{Format: old.Type(), Blob: old.Marshal()}))
	require.Equal(t, "new@example.com "+ssh.FingerprintSHA256(fakeKey{"new@example.com", []byte("x")}),
		userauth.KeyName(fakeKey{"new@example.com", []byte("x")}))
	require.Empty(t, userauth.KeyName(nil))
}

func TestErrorNamesTheKeyInACertificate(t *testing.T) {
	signer := ed25519Signer(t)
	e := requireError(t, authenticate(t, keyServer(t), userauth.PublicKeys(certSigner(t, signer))))
	require.ErrorContains(t, e, "publickey ssh-ed25519-cert-v01@openssh.com "+ssh.FingerprintSHA256(signer.PublicKey())+": refused")
}
