package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth/identity"
)

// opensshKey is an OpenSSH private key file that may lie.
type opensshKey struct {
	Cipher, KDF string
	Options     []byte
	Keys        uint32
	Public      []byte
	Private     []byte
}

func (k opensshKey) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), ssh.Marshal(k)...)})
}

// bcrypt are options of the key derivation.
func bcrypt(rounds uint32) []byte {
	return ssh.Marshal(struct {
		Salt   []byte
		Rounds uint32
	}{make([]byte, 16), rounds})
}

// ed25519Private is the private part of the file.
type ed25519Private struct {
	Check1, Check2 uint32
	Type           string
	Public         []byte
	Private        []byte
	Comment        string
	Padding        []byte `ssh:"rest"`
}

// A18: false OpenSSH files. The bounds end the work before a long derivation.
func TestLiesInOpenSSHFiles(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	otherPublic, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	blob := func(k ed25519.PublicKey) []byte {
		p, err := ssh.NewPublicKey(k)
		require.NoError(t, err)
		return p.Marshal()
	}
	good := ed25519Private{7, 7, ssh.KeyAlgoED25519, public, private, "", []byte{1, 2, 3, 4, 5, 6}}
	mixed := append(private.Seed(), otherPublic...)
	rsaHuge := ssh.Marshal(struct {
		Type string
		E, N *big.Int
	}{ssh.KeyAlgoRSA, big.NewInt(65537), new(big.Int).Lsh(big.NewInt(1), 65535)})

	for name, test := range map[string]struct {
		file func(k *opensshKey, p *ed25519Private)
		want string // empty: no error
	}{
		"none": {func(*opensshKey, *ed25519Private) {}, ""},
		"2^32-1 rounds": {func(k *opensshKey, _ *ed25519Private) {
			k.Cipher, k.KDF, k.Options = "aes256-ctr", "bcrypt", bcrypt(1<<32-1)
		}, "4294967295 rounds"},
		"2049 rounds": {func(k *opensshKey, _ *ed25519Private) {
			k.Cipher, k.KDF, k.Options = "aes256-ctr", "bcrypt", bcrypt(2049)
		}, "2049 rounds"},
		"no rounds in there":  {func(k *opensshKey, _ *ed25519Private) { k.Cipher, k.KDF = "aes256-ctr", "bcrypt" }, `key derivation "bcrypt" is not`},
		"unknown derivation":  {func(k *opensshKey, _ *ed25519Private) { k.KDF = strings.Repeat("\x1b", 9000) }, `\x1b" is not supported`},
		"cipher without KDF":  {func(k *opensshKey, _ *ed25519Private) { k.Cipher = "aes256-ctr" }, `key derivation "none"`},
		"unknown cipher":      {func(k *opensshKey, _ *ed25519Private) { k.Cipher, k.KDF, k.Options = "rot13", "bcrypt", bcrypt(1) }, "ssh-keygen -p -Z aes256-ctr"},
		"two keys":            {func(k *opensshKey, _ *ed25519Private) { k.Keys = 2 }, "file has 2 keys"},
		"no key":              {func(k *opensshKey, _ *ed25519Private) { k.Keys = 0 }, "file has 0 keys"},
		"RSA of 64 Kbit":      {func(k *opensshKey, _ *ed25519Private) { k.Public = rsaHuge }, "malformed or unknown public key"},
		"another public key":  {func(k *opensshKey, _ *ed25519Private) { k.Public = blob(otherPublic) }, "the private key of SHA256:"},
		"public key of DSA":   {func(k *opensshKey, _ *ed25519Private) { k.Public = blob(otherPublic)[:30] }, "malformed or unknown public key"},
		"checks differ":       {func(_ *opensshKey, p *ed25519Private) { p.Check2++ }, "malformed OpenSSH key"},
		"halves of two keys":  {func(_ *opensshKey, p *ed25519Private) { p.Private = mixed }, "does not match the private half"},
		"half a private key":  {func(_ *opensshKey, p *ed25519Private) { p.Private = private.Seed() }, "unexpected length"},
		"long private key":    {func(_ *opensshKey, p *ed25519Private) { p.Private = append(private[:64:64], 0) }, "unexpected length"},
		"private key of both": {func(_ *opensshKey, p *ed25519Private) { p.Private = other }, "the private key of SHA256:"},
		"padding":             {func(_ *opensshKey, p *ed25519Private) { p.Padding = []byte{1, 2, 3, 4, 5, 7} }, "padding"},
		"another type inside": {func(_ *opensshKey, p *ed25519Private) { p.Type = ssh.KeyAlgoRSA }, "identity: key: ssh:"},
		"20 KiB of comment":   {func(_ *opensshKey, p *ed25519Private) { p.Comment = strings.Repeat("x", 20<<10) }, "too long for a private key"},
	} {
		t.Run(name, func(t *testing.T) {
			k, p := opensshKey{"none", "none", nil, 1, blob(public), nil}, good
			test.file(&k, &p)
			k.Private = ssh.Marshal(p)
			o, a := options()
			_, err := identity.Parse(t.Context(), "key", k.pem(), o)
			require.Empty(t, a.asked, "nobody is asked in vain")
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "identity: key: ")
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

// A18: false PEM files.
func TestLiesInPEM(t *testing.T) {
	huge := new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 1200)) // 9,600 bits, odd
	der, err := asn1.Marshal(struct {
		Version                     int
		N, E, D, P, Q, DP, DQ, Qinv *big.Int
	}{0, new(big.Int).Mul(huge, huge), big.NewInt(65537), huge, huge, huge, huge, huge, huge})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		block pem.Block
		want  string
	}{
		"RSA of 19 Kbit":  {pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}, "identity: key: "},
		"RSA of 64 Kbit":  {pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 40<<10)}, "too long for a private key"},
		"not DER":         {pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}, "identity: key: "},
		"PKCS#8":          {pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der[:100]}, "ssh-keygen -p"},
		"no key":          {pem.Block{Type: "CERTIFICATE", Bytes: der[:100]}, "the PEM data has no private key"},
		"unknown key":     {pem.Block{Type: "ANY PRIVATE KEY", Bytes: der[:100]}, "unsupported key type"},
		"OpenSSH's magic": {pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("openssh-key-v2\x00")}, "malformed OpenSSH private key"},
	} {
		_, err := identity.Parse(t.Context(), "key", pem.EncodeToMemory(&test.block), nil)
		require.ErrorContains(t, err, test.want, name)
	}
}
