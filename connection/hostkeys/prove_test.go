package hostkeys_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// K27: announced keys without a right proof, and announcements of another form
// than OpenSSH's, leave known_hosts as it is.
func TestRotationWithoutProofChangesNothing(t *testing.T) {
	host, fresh, rsa := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoRSA)
	blob := func(s ssh.Signer) []byte { return s.PublicKey().Marshal() }
	cert := &ssh.Certificate{Key: fresh.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"host"}, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, host))
	both := [][]byte{blob(host), blob(fresh)}
	one := func(signer ssh.Signer, algorithm, name string) func([]byte, [][]byte) ([][]byte, bool) {
		return func(session []byte, _ [][]byte) ([][]byte, bool) {
			return [][]byte{sign(signer, algorithm, name, session)}, true
		}
	}
	good := one(fresh, ssh.KeyAlgoED25519, proveName)
	never := func([]byte, [][]byte) ([][]byte, bool) { panic("asked for a proof") }
	flood := make([][]byte, 5000)
	for i := range flood {
		flood[i] = fmt.Appendf(nil, "%d", i)
	}
	manyKeys := [][]byte{blob(host)}
	for range 100 {
		manyKeys = append(manyKeys, blob(sshtest.NewSigner(t, ssh.KeyAlgoED25519)))
	}
	for name, test := range map[string]struct {
		announced [][]byte
		prove     func([]byte, [][]byte) ([][]byte, bool)
		added     int // lines
		want      string
		silent    bool // the verifier is not even told
	}{
		"proven":                  {both, good, 1, "", false},
		"refused":                 {both, func([]byte, [][]byte) ([][]byte, bool) { return nil, false }, 0, "has not proven", false},
		"another key signs":       {both, one(host, ssh.KeyAlgoED25519, proveName), 0, "proof of ssh-ed25519 SHA256:", false},
		"another text is signed":  {both, one(fresh, ssh.KeyAlgoED25519, "hostkeys-00@openssh.com"), 0, "proof of ssh-ed25519 SHA256:", false},
		"another session":         {both, func([]byte, [][]byte) ([][]byte, bool) { return good([]byte("x"), nil) }, 0, "proof of ssh-ed25519 SHA256:", false},
		"no signature":            {both, func([]byte, [][]byte) ([][]byte, bool) { return nil, true }, 0, "a signature is missing", false},
		"too many signatures":     {both, func(s []byte, _ [][]byte) ([][]byte, bool) { a, _ := good(s, nil); return append(a, a...), true }, 0, "more signatures than keys", false},
		"garbage for a signature": {both, func([]byte, [][]byte) ([][]byte, bool) { return [][]byte{[]byte("x")}, true }, 0, "proof of ssh-ed25519 SHA256:", false},
		"RSA with SHA-256":        {[][]byte{blob(host), blob(rsa)}, one(rsa, ssh.KeyAlgoRSASHA256, proveName), 1, "", false},
		"RSA with SHA-1":          {[][]byte{blob(host), blob(rsa)}, one(rsa, ssh.KeyAlgoRSA, proveName), 0, `made with "ssh-rsa" instead of rsa-sha2-512`, false},
		"twice the same key":      {append(both, both...), never, 0, "announced ssh-ed25519 SHA256:", false},
		"a certificate":           {[][]byte{blob(host), cert.Marshal()}, never, 0, "", false},
		"an unknown type":         {[][]byte{blob(host), ssh.Marshal(struct{ T string }{"ssh-new"})}, never, 0, "", false},
		"no key at all":           {nil, never, 0, "", false},
		"many keys":               {manyKeys, never, 0, "more than 64 keys", false},
		"a flood":                 {flood, never, 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, loaded(t, file).Add("host:22", host.PublicKey()))
			before := sorted(t, file)
			w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, UpdateHostKeys: knownhosts.UpdateYes})
			a := &announcer{hostKey: host, announced: test.announced, times: 2, prove: test.prove}
			nc, _ := a.start()
			conn := connect(t, nc, "user", "host:22", w, userauth.None())
			if !test.silent {
				err := <-w.updated
				if test.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.want)
				}
			}
			_, _ = conn.Request(t.Context(), "x", nil) // a second announcement has arrived before the answer
			require.NoError(t, conn.Close())
			require.Empty(t, w.updated, "only the first announcement counts")
			after := sorted(t, file)
			require.Len(t, after, len(before)+test.added)
			require.Subset(t, after, before)
		})
	}
}

// A server that announces its keys without end, and never answers the request to
// prove them or goes away instead, holds up nothing, and leaves nothing behind.
func TestServerThatNeverProvesItsKeysHoldsUpNothing(t *testing.T) {
	host, fresh := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, leaves := range map[string]bool{"silent": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			asked, over := make(chan struct{}), make(chan struct{})
			defer close(over)
			a := &announcer{
				hostKey: host, announced: [][]byte{host.PublicKey().Marshal(), fresh.PublicKey().Marshal()}, times: 1000,
				prove: func([]byte, [][]byte) ([][]byte, bool) {
					close(asked)
					<-over
					return nil, false
				},
			}
			file := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, loaded(t, file).Add("host:22", host.PublicKey()))
			w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, UpdateHostKeys: knownhosts.UpdateYes})
			nc, server := a.start()
			conn := connect(t, nc, "user", "host:22", w, userauth.None())
			<-asked
			if leaves {
				require.NoError(t, server.Close())
			} else {
				require.NoError(t, conn.Close())
			}
			require.ErrorContains(t, <-w.updated, "has not proven")
			_ = conn.Close()
			require.Empty(t, w.updated)
			require.Len(t, sorted(t, file), 1)
		})
	}
}
