package identity_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

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

	// A useless certificate is no reason to refuse the key.
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, other+".pub")}})
	for name, test := range map[string]struct {
		make func()
		want string
	}{
		"of another key": {func() { write(t, other+"-cert.pub", read(t, key+"-cert.pub")) },
			"other-cert.pub: the certificate is for the key " + fingerprint(t, key)},
		"empty": {func() { write(t, other+"-cert.pub", nil) }, "other-cert.pub: the file is not a public key"},
		"for hosts": {func() {
			run(t, dir, "ssh-keygen", "-q", "-h", "-s", ca, "-I", "id", "-n", "host", other+".pub")
		}, "the certificate is for hosts"},
		"no certificate": {func() { write(t, other+"-cert.pub", read(t, other+".pub")) }, "the file has a plain key instead of a certificate"},
		"damaged":        {func() { write(t, other+"-cert.pub", []byte("ssh-ed25519-cert-v01@openssh.com AAAA")) }, "other-cert.pub: the file is not a public key"},
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

// A certificate beside a new key may still be used with its old key.
func TestCertificateBesideAnotherKeyWaitsForItsOwn(t *testing.T) {
	a := startAgent(t)
	ca, old, key := keygen(t, a.dir, "ca", ""), keygen(t, a.dir, "old", ""), keygen(t, a.dir, "key", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: public(t, ca+".pub")})
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, "old.pub")
	require.NoError(t, os.Rename(old+"-cert.pub", key+"-cert.pub"))
	a.add("-q", old)
	signers, err := identity.Load(t.Context(), key, nil)
	require.NoError(t, err)
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: signers, Agent: identity.AgentSocket(a.socket), IdentitiesOnly: true}))
	require.NoError(t, err)

	// A public key alone says why there is no signature, and names the file.
	_, err = login(t.Context(), s, userauth.PublicKeys(signers...))
	require.ErrorContains(t, err, "signer: identity: "+key+"-cert.pub: the certificate is for the key "+fingerprint(t, old))
}

func TestPublicKeyStandsForOneThatIsElsewhere(t *testing.T) {
	dir := t.TempDir()
	file := keygen(t, dir, "key", "")
	require.NoError(t, os.Remove(file))
	for _, name := range []string{file, file + ".pub"} {
		key := load(t, name, nil)
		require.Equal(t, fingerprint(t, file+".pub"), ssh.FingerprintSHA256(key.PublicKey()))
		_, err := key.Sign(nil, nil)
		require.ErrorContains(t, err, "the private key is not here")
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
		"keys/text":        "keys/text: the file has neither a private key of OpenSSH, PEM or PuTTY nor a public key",
		"keys/known_hosts": "keys/known_hosts: the file has neither a private key",
		"keys/none":        "identity: open keys/none", "keys": "keys: the file is not a regular file", "/keys/id": "identity: open /keys/id",
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
	require.ErrorContains(t, err, "identity: the key: the PEM data has no private key")
}

// A18: a file without end.
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
