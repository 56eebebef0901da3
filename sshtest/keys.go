package sshtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"
)

// NewSigner makes a new key of the named type: [ssh.KeyAlgoED25519],
// [ssh.KeyAlgoECDSA256], [ssh.KeyAlgoECDSA384], [ssh.KeyAlgoECDSA521], or
// [ssh.KeyAlgoRSA] of 2048 bits.
func NewSigner(tb testing.TB, keyType string) ssh.Signer {
	tb.Helper()
	signer, err := newSigner(keyType)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// NewCertSigner returns key's signer with a certificate from the authority
// ca. The certificate type is [ssh.UserCert] or [ssh.HostCert], the
// principals are users or host names, and it is valid at any time.
func NewCertSigner(tb testing.TB, ca, key ssh.Signer, certType uint32, principals ...string) ssh.Signer {
	tb.Helper()
	cert, err := newCertificate(ca, key.PublicKey(), certType, principals...)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// newCertificate makes a certificate without a time limit. A user certificate
// has the extensions for forwarding and for terminals.
func newCertificate(ca ssh.Signer, key ssh.PublicKey, certType uint32, principals ...string) (*ssh.Certificate, error) {
	cert := &ssh.Certificate{
		Key:             key,
		CertType:        certType,
		KeyId:           "sshtest",
		ValidPrincipals: principals,
		ValidBefore:     ssh.CertTimeInfinity,
	}
	if certType == ssh.UserCert {
		cert.Extensions = map[string]string{
			"permit-agent-forwarding": "",
			"permit-port-forwarding":  "",
			"permit-pty":              "",
		}
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		return nil, fmt.Errorf("sshtest: %w", err)
	}
	return cert, nil
}

// newSigner is NewSigner outside of a test.
func newSigner(keyType string) (ssh.Signer, error) {
	key, err := newKey(keyType)
	if err != nil {
		return nil, fmt.Errorf("sshtest: %w", err)
	}
	return ssh.NewSignerFromSigner(key)
}

// newKey makes a private key, in a form that suits ssh.MarshalPrivateKey too.
func newKey(keyType string) (crypto.Signer, error) {
	switch keyType {
	case ssh.KeyAlgoED25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case ssh.KeyAlgoECDSA256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ssh.KeyAlgoECDSA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ssh.KeyAlgoECDSA521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case ssh.KeyAlgoRSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("unknown key type %q: use one of %q", keyType, []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
	})
}
