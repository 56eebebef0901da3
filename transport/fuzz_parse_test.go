package transport_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// fixedSigners returns the same keys in every process: fuzzing needs them.
func fixedSigners(f *testing.F) (signers []ssh.Signer) {
	keys := []any{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.ParseRawPrivateKey(curve, append(make([]byte, (curve.Params().BitSize+7)/8-1), 7))
		require.NoError(f, err)
		keys = append(keys, key)
	}
	for _, key := range keys {
		signer, err := ssh.NewSignerFromKey(key)
		require.NoError(f, err)
		signers = append(signers, signer)
	}
	return signers
}

// FuzzHostKey shows any key and any signature. Only the signatures made here, by the
// holders of the keys, are believed.
func FuzzHostKey(f *testing.F) {
	holders := make(map[string]bool)
	other := sshtest.NewSigner(f, ssh.KeyAlgoRSA).PublicKey().Marshal()
	for n, algorithm := range transport.HostKeyAlgorithms {
		for _, signer := range fixedSigners(f) {
			blob := signer.PublicKey().Marshal()
			signature, err := signer.Sign(rand.Reader, transport.ToProve(algorithm, blob))
			require.NoError(f, err)
			f.Add(byte(n), blob, ssh.Marshal(signature))
			f.Add(byte(n), blob, append(ssh.Marshal(signature), 0))
			f.Add(byte(n), other, ssh.Marshal(signature))
			holders[string(blob)] = true
		}
	}
	near, _ := sshtest.Pipe()
	f.Fuzz(func(t *testing.T, n byte, key, signature []byte) {
		algorithm := transport.HostKeyAlgorithms[int(n)%len(transport.HostKeyAlgorithms)]
		err := transport.Proven(algorithm, key, signature, near)
		if err == nil {
			require.True(t, holders[string(key)], "a key was proven that nobody holds")
			return
		}
		require.ErrorAs(t, err, new(*transport.HostKeyError))
		require.LessOrEqual(t, len(err.Error()), 2000)
	})
}
