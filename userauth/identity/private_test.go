package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestFormatsOfSSHKeygen(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		early bool // the passphrase is asked for at once, unless there is a .pub
	}{
		"ed25519":            {[]string{"-t", "ed25519"}, false},
		"ecdsa 256":          {[]string{"-t", "ecdsa", "-b", "256"}, false},
		"ecdsa 384":          {[]string{"-t", "ecdsa", "-b", "384"}, false},
		"ecdsa 521":          {[]string{"-t", "ecdsa", "-b", "521"}, false},
		"rsa":                {[]string{"-t", "rsa", "-b", "2048"}, false},
		"rsa, PKCS#1":        {[]string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, true},
		"ecdsa, SEC 1":       {[]string{"-t", "ecdsa", "-m", "PEM"}, true},
		"aes256-cbc":         {[]string{"-Z", "aes256-cbc"}, false},
		"24 rounds":          {[]string{"-a", "24"}, false},
		"rsa, not in PEM":    {[]string{"-t", "rsa", "-b", "2048", "-m", "RFC4716"}, false},
		"ed25519 whatever m": {[]string{"-m", "PEM"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bare := load(t, keygen(t, dir, "bare", "", test.args...), nil)
			require.Equal(t, fingerprint(t, filepath.Join(dir, "bare.pub")), ssh.FingerprintSHA256(bare.PublicKey()))
			require.False(t, bare.(userauth.InteractiveSigner).Interactive())
			requireSigns(t, bare)

			file := keygen(t, dir, "locked", "secret", test.args...)
			o, a := options("secret")
			locked := load(t, file, o)
			require.Equal(t, fingerprint(t, file+".pub"), ssh.FingerprintSHA256(locked.PublicKey()))
			require.True(t, locked.(userauth.InteractiveSigner).Interactive())
			require.Empty(t, a.asked)
			requireSigns(t, locked)
			require.Len(t, a.asked, 1)
			require.False(t, locked.(userauth.InteractiveSigner).Interactive())

			require.NoError(t, os.Remove(file+".pub"))
			o, a = options("secret")
			locked = load(t, file, o)
			require.Equal(t, test.early, len(a.asked) == 1)
			requireSigns(t, locked)
		})
	}
}

func TestPKCS8AndWhatOpenSSLWritesInFrontOfAKey(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"rsa", "ecdsa"} {
		file := keygen(t, dir, kind, "", "-t", kind, "-m", "PKCS8")
		require.Contains(t, string(read(t, file)), "BEGIN PRIVATE KEY")
		requireSigns(t, load(t, file, nil))
	}
	file := keygen(t, dir, "ec", "", "-t", "ecdsa", "-m", "PEM")
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	write(t, file, append([]byte(parameters), read(t, file)...))
	requireSigns(t, load(t, file, nil))
}

func TestEncryptedPEMWithoutItsPublicKey(t *testing.T) {
	file := keygen(t, t.TempDir(), "key", "secret", "-t", "rsa", "-b", "2048", "-m", "PEM")
	public := read(t, file+".pub")
	require.NoError(t, os.Remove(file+".pub"))
	_, err := identity.Load(t.Context(), file, nil)
	require.ErrorContains(t, err, "ssh-keygen -y -f "+file+" > "+file+".pub")

	o, a := options("wrong", "secret")
	key := load(t, file, o)
	require.Equal(t, []identity.PassphraseRequest{{File: file, Attempt: 1}, {File: file, Attempt: 2}}, a.asked)
	require.Equal(t, strings.Fields(string(public))[1], strings.Fields(string(ssh.MarshalAuthorizedKey(key.PublicKey())))[1])

	// The public key of another private key is rejected.
	other := keygen(t, t.TempDir(), "other", "")
	write(t, file+".pub", read(t, other+".pub"))
	o, _ = options("secret")
	_, err = load(t, file, o).Sign(nil, nil)
	require.ErrorContains(t, err, "does not match the public key in or beside the file, "+fingerprint(t, other))
}
