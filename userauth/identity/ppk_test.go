package identity_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// puttygen makes a key of a type like "ecdsa 384" with PuTTY's puttygen.
func puttygen(t testing.TB, dir, name, passphrase, keyType, param string) string {
	t.Helper()
	keyType, bits, _ := strings.Cut(keyType, " ")
	args := []string{"-q", "-t", keyType, "-C", "a comment: é", "-o", name, "--new-passphrase",
		write(t, filepath.Join(dir, "passphrase"), []byte(passphrase)), "--ppk-param", param}
	if bits != "" {
		args = append(args, "-b", bits)
	}
	run(t, dir, "puttygen", args...)
	return filepath.Join(dir, name)
}

// puttyFingerprint asks puttygen.
func puttyFingerprint(t testing.TB, file string) string {
	t.Helper()
	return regexp.MustCompile(`SHA256:\S+`).FindString(run(t, "", "puttygen", "-l", file))
}

func TestFormatsOfPuTTYgen(t *testing.T) {
	for _, keyType := range []string{"ed25519", "ecdsa", "ecdsa 384", "ecdsa 521", "rsa 2048"} {
		for _, param := range []string{"version=2", "version=3,memory=64,passes=2", "version=3,kdf=argon2i,memory=100,passes=3,parallelism=4"} {
			t.Run(keyType+", "+param, func(t *testing.T) {
				dir := t.TempDir()
				file := puttygen(t, dir, "bare.ppk", "", keyType, param)
				bare := load(t, file, nil)
				require.Equal(t, puttyFingerprint(t, file), ssh.FingerprintSHA256(bare.PublicKey()))
				requireSigns(t, bare)

				file = puttygen(t, dir, "locked.ppk", "sécret", keyType, param)
				o, a := options("wrong", "sécret")
				locked := load(t, file, o)
				require.Equal(t, puttyFingerprint(t, file), ssh.FingerprintSHA256(locked.PublicKey()))
				require.True(t, locked.(userauth.InteractiveSigner).Interactive())
				requireSigns(t, locked)
				require.Len(t, a.asked, 2)
				require.Equal(t, locked.PublicKey(), a.asked[0].Key)
			})
		}
	}
}

func TestWhatOfPuTTYIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct{ keyType, passphrase, param, want string }{
		"dsa":     {"dsa", "", "version=2", "DSA keys are not supported"},
		"ed448":   {"ed448", "", "version=3", "Ed448 keys are not supported"},
		"argon2d": {"ed25519", "secret", "kdf=argon2d,memory=64,passes=1", "Argon2d is not supported: save the key with Argon2id"},
	} {
		_, err := identity.Load(t.Context(), puttygen(t, dir, name, test.passphrase, test.keyType, test.param), nil)
		require.ErrorContains(t, err, test.want)
	}
}

func TestCertificateInAPuTTYFile(t *testing.T) {
	dir := t.TempDir()
	file := puttygen(t, dir, "key.ppk", "", "ed25519", "version=3")
	write(t, filepath.Join(dir, "key.pub"), []byte(run(t, dir, "puttygen", "-L", file)))
	run(t, dir, "ssh-keygen", "-q", "-s", keygen(t, dir, "ca", ""), "-I", "id", "-n", "gopher", "key.pub")
	run(t, dir, "puttygen", file, "--certificate", "key-cert.pub", "-o", "both.ppk")
	signers, err := identity.Load(t.Context(), filepath.Join(dir, "both.ppk"), nil)
	require.NoError(t, err)
	require.Len(t, signers, 2)
	require.Equal(t, puttyFingerprint(t, file), ssh.FingerprintSHA256(signers[0].PublicKey()))
	require.Equal(t, ssh.CertAlgoED25519v01, signers[1].PublicKey().Type())
	requireSigns(t, signers[1])

	certified, err := identity.Parse(t.Context(), "both", read(t, filepath.Join(dir, "both.ppk")), nil)
	require.NoError(t, err)
	require.Equal(t, signers[1].PublicKey(), certified.PublicKey())
}

// A18: false PuTTY files. The bounds end the work before a long derivation.
func TestLiesInPuTTYFiles(t *testing.T) {
	dir := t.TempDir()
	bare := string(read(t, puttygen(t, dir, "bare", "", "ed25519", "version=3")))
	bare2 := string(read(t, puttygen(t, dir, "bare2", "", "ed25519", "version=2")))
	locked := string(read(t, puttygen(t, dir, "locked", "secret", "ed25519", "version=3,memory=64,passes=1")))
	other := string(read(t, puttygen(t, dir, "other", "", "ed25519", "version=3")))
	publicOf := func(s string) string {
		return regexp.MustCompile(`(?s)Public-Lines: .*?Private`).FindString(s)
	}
	replace := func(s, pattern, with string) string {
		require.Regexp(t, "(?m)"+pattern, s)
		return regexp.MustCompile("(?m)"+pattern).ReplaceAllString(s, with)
	}
	for name, test := range map[string]struct{ file, want string }{
		"CRLF":                 {strings.ReplaceAll(bare, "\n", "\r\n"), ""},
		"CR":                   {strings.ReplaceAll(bare, "\n", "\r"), ""},
		"version 1":            {replace(bare, "File-3", "File-1"), "neither 2 nor 3"},
		"version 33":           {replace(bare, "File-3", "File-33"), "neither 2 nor 3"},
		"MAC":                  {replace(bare, "Private-MAC: .", "Private-MAC: z"), "malformed PuTTY key file: Private-MAC"},
		"short MAC":            {replace(bare, "Private-MAC: ..", "Private-MAC: "), "the MAC is wrong"},
		"no MAC":               {replace(bare, "Private-MAC: .*\n", ""), "malformed PuTTY key file: Private-MAC"},
		"comment":              {replace(bare, "Comment: a", "Comment: b"), "the MAC is wrong"},
		"comment, version 2":   {replace(bare2, "Comment: a", "Comment: b"), "the MAC is wrong"},
		"another public key":   {replace(bare, `(?s)Public-Lines: .*?Private`, publicOf(other)), "the MAC is wrong"},
		"another type":         {replace(bare, "ssh-ed25519", "ssh-rsa"), `its type is not "ssh-rsa"`},
		"no public key":        {replace(bare, "Public-Lines: 2", "Public-Lines: 0"), "Public-Lines is not a number from 1 to 1000"},
		"2^32 lines":           {replace(bare, "Public-Lines: 2", "Public-Lines: 4294967296"), "Public-Lines is not a number"},
		"1000 lines":           {replace(bare, "Public-Lines: 2", "Public-Lines: 1000"), "malformed PuTTY key file: "},
		"not base64":           {replace(bare, "Public-Lines: 2\n", "Public-Lines: 2\n%"), "malformed PuTTY key file: Public-Lines"},
		"other encryption":     {replace(bare, "Encryption: none", "Encryption: rot13"), "malformed PuTTY key file: Key-Derivation"},
		"encryption, really":   {replace(locked, "Encryption: aes256-cbc", "Encryption: 3des"), `encryption "3des"`},
		"encryption of none":   {replace(locked, "Encryption: aes256-cbc", "Encryption: none"), "malformed"},
		"half a block":         {replace(bare, "Encryption: none", "Encryption: aes256-cbc\nKey-Derivation: Argon2id"), "malformed"},
		"other derivation":     {replace(locked, "Argon2id", "scrypt"), `key derivation "scrypt"`},
		"memory":               {replace(locked, "Argon2-Memory: 64", "Argon2-Memory: 4294967295"), "Argon2-Memory is not a number from 1 to 262144"},
		"no memory":            {replace(locked, "Argon2-Memory: 64", "Argon2-Memory: 0"), "Argon2-Memory is not a number"},
		"negative":             {replace(locked, "Argon2-Memory: 64", "Argon2-Memory: -64"), "Argon2-Memory is not a number"},
		"passes":               {replace(locked, "Argon2-Passes: 1", "Argon2-Passes: 4294967295"), "Argon2-Passes is not a number"},
		"memory and passes":    {replace(replace(locked, "Argon2-Passes: 1", "Argon2-Passes: 1000"), "Memory: 64", "Memory: 262144"), "1000 passes over 262144 KiB"},
		"no threads":           {replace(locked, "Argon2-Parallelism: 1", "Argon2-Parallelism: 0"), "Argon2-Parallelism is not a number"},
		"threads":              {replace(locked, "Argon2-Parallelism: 1", "Argon2-Parallelism: 256"), "Argon2-Parallelism is not a number"},
		"salt":                 {replace(locked, "Argon2-Salt: .", "Argon2-Salt: -"), "malformed PuTTY key file: Argon2-Salt"},
		"public key, locked":   {replace(locked, `(?s)Public-Lines: .*?(Private|Key-Der)`, strings.TrimSuffix(publicOf(other), "Private")+"Key-Der"), "all 3 passphrases given were wrong"},
		"nothing but a prefix": {"PuTTY-User-Key-File-3: ", "malformed PuTTY key file: Encryption"},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := options("secret", "secret", "secret")
			key, err := identity.Parse(t.Context(), "key", []byte(test.file), o)
			if err == nil {
				_, err = key.Sign(nil, []byte("data"))
			}
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "identity: key: ")
		})
	}
}
