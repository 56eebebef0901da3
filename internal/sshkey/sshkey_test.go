package sshkey_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// signatures are the signature formats of each type of keys, the best first, by
// the name of a plain key's type and by that of a certificate's.
var signatures = map[string]string{
	"ssh-ed25519":                        "ssh-ed25519",
	"ecdsa-sha2-nistp256":                "ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384":                "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521":                "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com":         "sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com": "sk-ecdsa-sha2-nistp256@openssh.com",
	"ssh-rsa":                            "rsa-sha2-512 rsa-sha2-256",
	"ssh-mldsa-44":                       "ssh-mldsa-44",
	"ssh-mldsa-65":                       "ssh-mldsa-65",
	"ssh-mldsa-87":                       "ssh-mldsa-87",

	"ssh-ed25519-cert-v01@openssh.com":            "ssh-ed25519",
	"ecdsa-sha2-nistp256-cert-v01@openssh.com":    "ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384-cert-v01@openssh.com":    "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521-cert-v01@openssh.com":    "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519-cert-v01@openssh.com":         "sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com": "sk-ecdsa-sha2-nistp256@openssh.com",
	"ssh-rsa-cert-v01@openssh.com":                "rsa-sha2-512 rsa-sha2-256",
	"ssh-mldsa-44-cert-v01@golang.org":            "ssh-mldsa-44",
	"ssh-mldsa-65-cert-v01@golang.org":            "ssh-mldsa-65",
	"ssh-mldsa-87-cert-v01@golang.org":            "ssh-mldsa-87",

	"ssh-dss":                      "",
	"ssh-dss-cert-v01@openssh.com": "",
	"rsa-sha2-512":                 "", // an algorithm, and no type
	"":                             "",
}

func TestSignaturesOfEveryType(t *testing.T) {
	for keyType, want := range signatures {
		require.Equal(t, want, strings.Join(sshkey.Signatures(keyType), " "), "%q", keyType)
		for _, a := range sshkey.Algorithms(keyType) {
			require.Equal(t, keyType, a.KeyType)
			cert := strings.Contains(keyType, "-cert-")
			require.Equal(t, cert, strings.Contains(a.Name, "-cert-"), a.Name)
			require.Equal(t, !cert, a.Name == a.Signature, a.Name)
		}
	}
}

// hostAlgorithms is the proposal of OpenSSH's client without a known host, except
// that certificates come last.
const hostAlgorithms = `
	ssh-ed25519
	ecdsa-sha2-nistp256
	ecdsa-sha2-nistp384
	ecdsa-sha2-nistp521
	sk-ssh-ed25519@openssh.com
	sk-ecdsa-sha2-nistp256@openssh.com
	rsa-sha2-512
	rsa-sha2-256
	ssh-ed25519-cert-v01@openssh.com
	ecdsa-sha2-nistp256-cert-v01@openssh.com
	ecdsa-sha2-nistp384-cert-v01@openssh.com
	ecdsa-sha2-nistp521-cert-v01@openssh.com
	sk-ssh-ed25519-cert-v01@openssh.com
	sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
	rsa-sha2-512-cert-v01@openssh.com
	rsa-sha2-256-cert-v01@openssh.com`

func TestHostKeysHaveAnOrder(t *testing.T) {
	var names []string
	for _, a := range sshkey.HostAlgorithms() {
		names = append(names, a.Name)
		found, ok := sshkey.HostAlgorithm(a.Name)
		require.True(t, ok)
		require.Equal(t, a, found)
		require.Contains(t, sshkey.Algorithms(a.KeyType), a)
	}
	require.Equal(t, strings.Fields(hostAlgorithms), names)
	require.Equal(t, names, sshkey.Names(sshkey.HostAlgorithms()))
	for _, name := range []string{"ssh-rsa", "ssh-dss", "ssh-mldsa-44", ""} {
		_, ok := sshkey.HostAlgorithm(name)
		require.False(t, ok, name)
	}
	for _, name := range []string{"ssh-dss", "ssh-mldsa-44", "rsa-sha2-512", "ssh-rsa-cert-v01@openssh.com", ""} {
		_, ok := sshkey.HostType(name)
		require.False(t, ok, name)
	}
}

func TestTypesInTheDNS(t *testing.T) {
	numbers := map[string]uint8{}
	for _, host := range sshkey.HostTypes() {
		found, ok := sshkey.HostType(host.Name)
		require.True(t, ok)
		require.Equal(t, host.SSHFP, found.SSHFP)
		numbers[host.Name] = host.SSHFP
	}
	require.Equal(t, map[string]uint8{
		"ssh-rsa": 1, "ecdsa-sha2-nistp256": 3, "ecdsa-sha2-nistp384": 3, "ecdsa-sha2-nistp521": 3, "ssh-ed25519": 4,
		"sk-ssh-ed25519@openssh.com": 0, "sk-ecdsa-sha2-nistp256@openssh.com": 0,
	}, numbers)
}

// The table belongs to nobody: whoever changes a result changes a copy.
func TestResultsAreCopies(t *testing.T) {
	sshkey.HostTypes()[0].Name = "changed"
	sshkey.HostAlgorithms()[0].Name = "changed"
	sshkey.Algorithms("ssh-rsa")[0].Name = "changed"
	require.False(t, slices.ContainsFunc(sshkey.HostAlgorithms(), func(a sshkey.Algorithm) bool { return a.Name == "changed" }))
	_, ok := sshkey.HostType("ssh-ed25519")
	require.True(t, ok)
}

func TestCertificatesAreDescribedByTheirKeys(t *testing.T) {
	key, authority := ed25519Signer(t), ed25519Signer(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, authority))

	require.Equal(t, key.PublicKey(), sshkey.Plain(cert))
	require.Equal(t, key.PublicKey(), sshkey.Plain(key.PublicKey()))
	require.True(t, sshkey.Equal(sshkey.Plain(cert), key.PublicKey()))
	require.False(t, sshkey.Equal(cert, key.PublicKey()))
	require.False(t, sshkey.Equal(nil, nil))
	require.False(t, sshkey.Equal(key.PublicKey(), nil))

	print := ssh.FingerprintSHA256(key.PublicKey())
	require.Equal(t, "ssh-ed25519 "+print, sshkey.Describe(key.PublicKey()))
	require.Equal(t, "ssh-ed25519-cert-v01@openssh.com "+print+" signed by authority ssh-ed25519 "+
		ssh.FingerprintSHA256(authority.PublicKey()), sshkey.Describe(cert))
	require.Equal(t, "no key", sshkey.Describe(nil))
}
