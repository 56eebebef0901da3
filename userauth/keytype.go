package userauth

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// keyAlgorithms returns the algorithms for a type of key, best first. RSA goes
// with SHA-2 only, RFC 8332 section 3, and DSA not at all. An unknown type is
// its own algorithm, if the type is a valid name.
func keyAlgorithms(keyType string) []sshkey.Algorithm {
	if known := sshkey.Algorithms(keyType); known != nil {
		return known
	}
	//lint:ignore SA1019 The names are needed to refuse what they name.
	if keyType == ssh.InsecureKeyAlgoDSA || keyType == ssh.InsecureCertAlgoDSAv01 || !validName(keyType) {
		return nil
	}
	return []sshkey.Algorithm{{Name: keyType, KeyType: keyType, Signature: keyType}}
}

// certificate returns key as a certificate, or nil. The key is parsed, because a
// certificate of an agent has not the type *ssh.Certificate.
func certificate(key ssh.PublicKey) *ssh.Certificate {
	if key == nil {
		return nil
	}
	parsed, err := ssh.ParsePublicKey(key.Marshal())
	cert, ok := parsed.(*ssh.Certificate)
	if err != nil || !ok {
		return nil
	}
	return cert
}

// verify checks a signature of data against the key in blob and the type wanted.
// x/crypto cannot judge unknown keys, nor security keys that the server lets sign
// without a touch: their signatures pass.
func verify(blob, data []byte, signature *ssh.Signature, want string) error {
	if signature.Format != want {
		return fmt.Errorf("userauth: signer: signature of type %q, not %q", clip(signature.Format), want)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || strings.HasPrefix(want, "sk-") {
		return nil
	}
	if err := key.Verify(data, signature); err != nil {
		return fmt.Errorf("userauth: signer: wrong signature: %w", err)
	}
	return nil
}
