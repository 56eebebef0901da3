package identity_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestFormatsOfSSHKeygen(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		early bool // the passphrase is asked for at once, unless the .pub is there
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

func TestPassphraseIsAskedForUntilItIsRight(t *testing.T) {
	dir := t.TempDir()
	file := keygen(t, dir, "key", "right")
	for name, test := range map[string]struct {
		give  []string
		asked int
		want  string
	}{
		"at once":    {[]string{"right"}, 1, ""},
		"the third":  {[]string{"wrong", "wrong", "right"}, 3, ""},
		"too late":   {[]string{"wrong", "wrong", "wrong", "right"}, 3, "key: 3 wrong passphrases"},
		"none":       {[]string{"wrong", ""}, 2, "key: no passphrase was given"},
		"nobody":     {nil, 1, "key: no passphrase: nobody is there"},
		"a newline?": {[]string{"right\n", "right"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, a := options(test.give...)
			key := load(t, file, o)
			_, err := key.Sign(nil, []byte("data"))
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
				require.Contains(t, err.Error(), "identity: "+file)
				require.NotContains(t, err.Error(), "right")
			}
			require.Len(t, a.asked, test.asked)
			for i, r := range a.asked {
				require.Equal(t, identity.PassphraseRequest{File: file, Key: key.PublicKey(), Attempt: i + 1}, r)
			}
		})
	}
	_, err := load(t, file, nil).Sign(nil, nil)
	require.ErrorContains(t, err, "Options.Passphrase is not set")
}

// A19
func TestPassphraseIsForgotten(t *testing.T) {
	file := keygen(t, t.TempDir(), "key", "secret")
	passphrase := []byte("secret")
	key := load(t, file, &identity.Options{Passphrase: func(context.Context, *identity.PassphraseRequest) ([]byte, error) {
		return passphrase, nil
	}})
	requireSigns(t, key)
	require.Equal(t, make([]byte, 6), passphrase)
}

func TestManyLoginsAskForOnePassphraseOnce(t *testing.T) {
	o, a := options("secret", "again")
	key := load(t, keygen(t, t.TempDir(), "key", "secret"), o)
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for range 10 {
		wg.Go(func() {
			_, err := key.Sign(nil, []byte("data"))
			errs <- err
		})
	}
	wg.Wait()
	for range 10 {
		require.NoError(t, <-errs)
	}
	require.Len(t, a.asked, 1)
}

func TestWaitForAPassphraseEndsWithTheContext(t *testing.T) {
	asked := make(chan struct{}, 1)
	key := load(t, keygen(t, t.TempDir(), "key", "secret"), &identity.Options{
		Passphrase: func(ctx context.Context, _ *identity.PassphraseRequest) ([]byte, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}).(userauth.InteractiveSigner)
	first, cancelFirst := context.WithCancelCause(t.Context())
	second, cancelSecond := context.WithCancel(t.Context())
	result := make(chan error, 2)
	go func() {
		_, err := key.SignContext(first, nil, ssh.KeyAlgoED25519)
		result <- err
	}()
	<-asked
	cancelSecond() // waits for the first to have asked
	_, err := key.SignContext(second, nil, ssh.KeyAlgoED25519)
	require.ErrorIs(t, err, context.Canceled)
	cancelFirst(errNobody)
	require.ErrorIs(t, <-result, errNobody)
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

	// A public key beside that is not its own is found out.
	other := keygen(t, t.TempDir(), "other", "")
	write(t, file+".pub", read(t, other+".pub"))
	o, _ = options("secret")
	_, err = load(t, file, o).Sign(nil, nil)
	require.ErrorContains(t, err, "not of the public key in or beside the file, "+fingerprint(t, other))
}

func TestCertificateBesideTheKey(t *testing.T) {
	dir := t.TempDir()
	ca := keygen(t, dir, "ca", "")
	key, other := keygen(t, dir, "key", "secret"), keygen(t, dir, "other", "")
	run(t, dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", "gopher", key+".pub")
	o, a := options("secret")
	signers, err := identity.Load(t.Context(), key, o)
	require.NoError(t, err)
	require.Len(t, signers, 2)
	require.Equal(t, ssh.CertAlgoED25519v01, signers[1].PublicKey().Type())
	requireSigns(t, signers[1])
	requireSigns(t, signers[0])
	require.Len(t, a.asked, 1)

	// What is of no use there is no reason to do without the key.
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, other+".pub")}})
	for name, test := range map[string]struct {
		make func()
		want string
	}{
		"of another key": {func() { write(t, other+"-cert.pub", read(t, key+"-cert.pub")) },
			"other-cert.pub: certifies the key " + fingerprint(t, key)},
		"empty": {func() { write(t, other+"-cert.pub", nil) }, "other-cert.pub: not a public key"},
		"for hosts": {func() {
			run(t, dir, "ssh-keygen", "-q", "-h", "-s", ca, "-I", "id", "-n", "host", other+".pub")
		}, "a certificate for hosts"},
		"no certificate": {func() { write(t, other+"-cert.pub", read(t, other+".pub")) }, "a plain key where a certificate should be"},
		"damaged":        {func() { write(t, other+"-cert.pub", []byte("ssh-ed25519-cert-v01@openssh.com AAAA")) }, "other-cert.pub: not a public key"},
	} {
		test.make()
		signers, err := identity.Load(t.Context(), other, nil)
		require.NoError(t, err)
		requireSigns(t, signers[0])
		m := identity.Method(&identity.Config{Keys: signers})
		tried, err := login(t.Context(), s, m)
		require.NoError(t, err)
		require.ErrorIs(t, tried[0].Err, userauth.ErrSkip)
		require.ErrorContains(t, tried[0].Err, test.want, name)
		out, err := exec.Command("ssh", "-F", "none", "-i", other, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none", "-p", port(s), s.User+"@127.0.0.1", "true").CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

// A certificate that was left beside a new key may still be used with its own.
func TestCertificateBesideAnotherKeyWaitsForItsOwn(t *testing.T) {
	a := startAgent(t)
	ca, old, key := keygen(t, a.dir, "ca", ""), keygen(t, a.dir, "old", ""), keygen(t, a.dir, "key", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: public(t, ca+".pub")})
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, "old.pub")
	require.NoError(t, os.Rename(old+"-cert.pub", key+"-cert.pub"))
	a.add("-q", old)
	signers, err := identity.Load(t.Context(), key, nil)
	require.NoError(t, err)
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: signers, Agent: identity.AgentSocket(a.socket), Only: true}))
	require.NoError(t, err)

	// By itself it says why it does not sign, and where.
	_, err = login(t.Context(), s, userauth.PublicKeys(signers...))
	require.ErrorContains(t, err, "signer: identity: "+key+"-cert.pub: certifies the key "+fingerprint(t, old))
}

func TestPublicKeyStandsForOneThatIsElsewhere(t *testing.T) {
	dir := t.TempDir()
	file := keygen(t, dir, "key", "")
	require.NoError(t, os.Remove(file))
	for _, name := range []string{file, file + ".pub"} {
		key := load(t, name, nil)
		require.Equal(t, fingerprint(t, file+".pub"), ssh.FingerprintSHA256(key.PublicKey()))
		_, err := key.Sign(nil, nil)
		require.ErrorContains(t, err, "there is only the public key")
		require.False(t, key.(userauth.InteractiveSigner).Interactive())
	}
	_, err := identity.Load(t.Context(), filepath.Join(dir, "none"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "identity: stat "+dir)
}

func TestFilesOfOtherFileSystems(t *testing.T) {
	dir := t.TempDir()
	file := keygen(t, dir, "id", "", "-t", "ecdsa")
	run(t, dir, "ssh-keygen", "-q", "-s", keygen(t, dir, "ca", ""), "-I", "id", "id.pub")
	fsys := fstest.MapFS{
		"keys/id":          {Data: read(t, file), Mode: 0o644},
		"keys/id-cert.pub": {Data: read(t, file+"-cert.pub")},
		"keys/text":        {Data: []byte("not a key")},
		"keys/known_hosts": {Data: append([]byte("example.com "), read(t, file+".pub")...)},
	}
	o := &identity.Options{FS: fsys}
	signers, err := identity.Load(t.Context(), "keys/id", o)
	require.NoError(t, err)
	require.Len(t, signers, 2)
	for name, want := range map[string]string{
		"keys/text":        "keys/text: neither a private key of OpenSSH, PEM or PuTTY nor a public key",
		"keys/known_hosts": "keys/known_hosts: neither a private key",
		"keys/none":        "identity: open keys/none", "keys": "keys: not a regular file", "/keys/id": "identity: open /keys/id",
	} {
		_, err := identity.Load(t.Context(), name, o)
		require.ErrorContains(t, err, want)
	}

	data := read(t, file)
	key, err := identity.Parse(t.Context(), "the key", data, nil)
	require.NoError(t, err)
	requireSigns(t, key)
	require.True(t, bytes.Equal(read(t, file), data), "what is the caller's is left as it is")
	_, err = identity.Parse(t.Context(), "the key", data[:len(data)/2], nil)
	require.ErrorContains(t, err, "identity: the key: no private key in the PEM data")
}

// A18
func TestHugeFileIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(100<<20))
	require.NoError(t, f.Close())
	_, err = identity.Load(t.Context(), file, nil)
	require.ErrorContains(t, err, "larger than a key file can be")
	require.False(t, errors.Is(err, fs.ErrNotExist))
}
