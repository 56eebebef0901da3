// Package hosttest has keys and files for the tests of package knownhosts. A key
// goes by a name, and is the same key in all processes.
package hosttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Signer returns the Ed25519 key with a name.
func Signer(name string) ssh.Signer {
	seed := sha256.Sum256([]byte(name))
	return newSigner(ed25519.NewKeyFromSeed(seed[:]), nil)
}

// Key returns the public half of the Ed25519 key with a name.
func Key(name string) ssh.PublicKey { return Signer(name).PublicKey() }

// RSA returns an RSA key, the same key for the whole life of the process.
var RSA = sync.OnceValue(func() ssh.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	return newSigner(k, err)
})

// ECDSA returns an ECDSA key, the same key for the whole life of the process.
var ECDSA = sync.OnceValue(func() ssh.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return newSigner(k, err)
})

func newSigner(private any, err error) ssh.Signer {
	if err != nil {
		panic(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	return s
}

// Text returns a key as the two fields of a line.
func Text(k ssh.PublicKey) string {
	return k.Type() + " " + base64.StdEncoding.EncodeToString(k.Marshal())
}

// Certificate returns a host certificate for the key "host" and the name
// "host.example". The certificate is good unless change makes it bad.
func Certificate(authority ssh.Signer, change func(c *ssh.Certificate)) *ssh.Certificate {
	c := &ssh.Certificate{
		Key:             Key("host"),
		CertType:        ssh.HostCert,
		KeyId:           "test",
		ValidPrincipals: []string{"host.example"},
		ValidAfter:      uint64(time.Now().Add(-time.Hour).Unix()),
		ValidBefore:     uint64(time.Now().Add(time.Hour).Unix()),
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		panic(err)
	}
	return c
}
