package identity_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// A16: the session is bound before a key is used.
func TestKeyForOneHostWorksThereAndNowhereElse(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	daemon := sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}}
	certified := daemon
	certified.HostCA = sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	// All daemons of one machine have the same host keys.
	elsewhere := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: daemon.AuthorizedKeys})
	m := identity.Method(&identity.Config{Agent: identity.AgentSocket(a.socket)})
	for name, test := range map[string]struct {
		options   *sshtest.DaemonOptions
		algorithm string
		line      string // of known_hosts, for this constraint
	}{
		"by its key":         {&daemon, ssh.KeyAlgoED25519, " ssh-ed25519 "},
		"by its RSA key":     {&daemon, ssh.KeyAlgoRSASHA512, " ssh-rsa "},
		"by its certificate": {&certified, ssh.CertAlgoECDSA256v01, "@cert-authority "},
	} {
		t.Run(name, func(t *testing.T) {
			here := sshtest.OpenSSH(t, test.options)
			var known []byte
			for line := range bytes.Lines(here.KnownHosts()) {
				if bytes.Contains(line, []byte(test.line)) {
					// The agent compares the name with the names in the certificate, without a port.
					known = append(known, bytes.Replace(line, []byte("[127.0.0.1]:"+port(here)), []byte("localhost"), 1)...)
				}
			}
			a.add("-q", "-D")
			a.add("-q", "-H", write(t, filepath.Join(t.TempDir(), "known_hosts"), known), "-h", "localhost", file)
			_, err := login(t.Context(), here, m, test.algorithm)
			require.NoError(t, err)
			_, err = login(t.Context(), elsewhere, m)
			require.ErrorContains(t, err, "the agent has no keys for this host")
		})
	}

	// Over an unbound connection the agent lists the key and does not sign.
	s := sshtest.OpenSSH(t, &daemon)
	known := write(t, filepath.Join(t.TempDir(), "known_hosts"), s.KnownHosts())
	a.add("-q", "-D")
	a.add("-q", "-H", known, "-h", "[127.0.0.1]:"+port(s), file)
	conn, err := identity.AgentSocket(a.socket)(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	signers, err := agent.NewClient(conn).Signers()
	require.NoError(t, err)
	_, err = signers[0].Sign(nil, []byte("data"))
	require.Error(t, err)
}

func TestForwardedEndsWithTheContextAndItsCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	connect := fakeAgent(func(request []byte) []byte {
		cancel(errNobody)
		return nil // no answer
	})
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()
	_, err := identity.Forwarded(connect, key, []byte("session"), []byte("signature"))(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errNobody)
}
