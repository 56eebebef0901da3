// Package sshkey is the table of key types: their names, the names of their
// certificates, and the algorithms by which keys of a type sign. All layers share
// the table, so that no layer takes a signature that another layer refuses.
//
// DSA keys are no part of the table, and neither are signatures made with SHA-1.
package sshkey

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Algorithm is a way to use a key: a public key algorithm, RFC 4253 section 6.6.
type Algorithm struct {
	Name      string // in negotiations: "rsa-sha2-512-cert-v01@openssh.com"
	KeyType   string // in the wire form of the key: "ssh-rsa-cert-v01@openssh.com"
	Signature string // in the wire form of a signature: "rsa-sha2-512"
}

// Type is a type of keys.
type Type struct {
	Name        string      // in the wire form of a key: "ssh-rsa"
	Algorithms  []Algorithm // of plain keys, the best first
	Certified   []Algorithm // of certificates for such keys, the best first
	SSHFP       uint8       // the number in SSHFP records, RFC 4255 section 3.1.1; 0: none
	Certificate string      // in the wire form of a certificate

	host bool // host keys may have the type
}

// types has the strongest first, as far as host keys are concerned. Its sources
// are RFC 8709 (Ed25519), RFC 5656 section 3 (ECDSA), OpenSSH PROTOCOL.u2f (sk),
// RFC 8332 (RSA), OpenSSH PROTOCOL.certkeys (certificates), RFC 6594 section 3.2
// and RFC 7479 section 2 (SSHFP). ML-DSA is for users only, under the names that
// x/crypto gives its certificates.
var types = []Type{
	newType(4, ssh.KeyAlgoED25519, ssh.CertAlgoED25519v01).forHosts(),
	newType(3, ssh.KeyAlgoECDSA256, ssh.CertAlgoECDSA256v01).forHosts(),
	newType(3, ssh.KeyAlgoECDSA384, ssh.CertAlgoECDSA384v01).forHosts(),
	newType(3, ssh.KeyAlgoECDSA521, ssh.CertAlgoECDSA521v01).forHosts(),
	newType(0, ssh.KeyAlgoSKED25519, ssh.CertAlgoSKED25519v01).forHosts(),
	newType(0, ssh.KeyAlgoSKECDSA256, ssh.CertAlgoSKECDSA256v01).forHosts(),
	{
		Name: ssh.KeyAlgoRSA, Certificate: ssh.CertAlgoRSAv01, SSHFP: 1, host: true,
		Algorithms: []Algorithm{
			{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA512},
			{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA256},
		},
		Certified: []Algorithm{
			{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSAv01, ssh.KeyAlgoRSASHA512},
			{ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSAv01, ssh.KeyAlgoRSASHA256},
		},
	},
	newType(0, ssh.KeyAlgoMLDSA44, ssh.CertAlgoMLDSA44v01Go),
	newType(0, ssh.KeyAlgoMLDSA65, ssh.CertAlgoMLDSA65v01Go),
	newType(0, ssh.KeyAlgoMLDSA87, ssh.CertAlgoMLDSA87v01Go),
}

// newType returns a type whose keys sign in one way, named like the type.
func newType(sshfp uint8, name, certificate string) Type {
	return Type{
		Name: name, Certificate: certificate, SSHFP: sshfp,
		Algorithms: []Algorithm{{name, name, name}},
		Certified:  []Algorithm{{certificate, certificate, name}},
	}
}

func (t Type) forHosts() Type {
	t.host = true
	return t
}

// HostTypes returns the types that host keys may have, the strongest first.
func HostTypes() []Type {
	return slices.DeleteFunc(slices.Clone(types), func(t Type) bool { return !t.host })
}

// HostType returns the type of host keys with a name. ok is false if there is
// none.
func HostType(name string) (t Type, ok bool) {
	i := slices.IndexFunc(types, func(t Type) bool { return t.host && t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return types[i], true
}

// HostAlgorithms returns the algorithms for host keys by preference: those of
// plain keys, and then those of certificates.
func HostAlgorithms() []Algorithm {
	var plain, certified []Algorithm
	for _, t := range HostTypes() {
		plain, certified = append(plain, t.Algorithms...), append(certified, t.Certified...)
	}
	return append(plain, certified...)
}

// HostAlgorithm returns the algorithm for host keys with a name. ok is false if
// there is none.
func HostAlgorithm(name string) (a Algorithm, ok bool) {
	all := HostAlgorithms()
	i := slices.IndexFunc(all, func(a Algorithm) bool { return a.Name == name })
	if i < 0 {
		return Algorithm{}, false
	}
	return all[i], true
}

// Algorithms returns the algorithms for keys of a type, the best first. The type
// may be that of a certificate. The result is nil if the table has no such type.
func Algorithms(keyType string) []Algorithm {
	for _, t := range types {
		switch keyType {
		case t.Name:
			return slices.Clone(t.Algorithms)
		case t.Certificate:
			return slices.Clone(t.Certified)
		}
	}
	return nil
}

// Names returns the names of algorithms.
func Names(algorithms []Algorithm) []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.Name
	}
	return names
}

// Signatures returns the signature formats of keys of a type, the best first.
func Signatures(keyType string) []string {
	var formats []string
	for _, a := range Algorithms(keyType) {
		formats = append(formats, a.Signature)
	}
	return formats
}

// Plain returns the key that a certificate certifies. Any other key is returned
// as it is.
func Plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// Equal reports whether two keys have the same wire form. A certificate equals
// no plain key, and nil equals nothing.
func Equal(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

// Describe returns the type and the SHA-256 fingerprint of a key, as ssh-keygen
// -l shows them. A certificate has the fingerprint of the key that it certifies,
// and its authority follows.
func Describe(key ssh.PublicKey) string {
	if key == nil {
		return "no key"
	}
	text := key.Type() + " " + ssh.FingerprintSHA256(Plain(key))
	if cert, ok := key.(*ssh.Certificate); ok {
		text += " signed by authority " + Describe(cert.SignatureKey)
	}
	return text
}
