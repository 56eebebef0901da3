package identity_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// A16
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
		line      string // of known_hosts that is for this
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
					// The agent compares the name with those in the certificate, without a port.
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

	// A connection that is not bound shows the key, and the agent does not sign.
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

func TestKeyThatIsGoneWhenItShouldSign(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	keyring := agent.NewKeyring().(agent.ExtendedAgent)
	raw, err := ssh.ParseRawPrivateKey(read(t, keygen(t, t.TempDir(), "key", "")))
	require.NoError(t, err)
	require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: raw, Comment: "mine"}))
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.InProcess(forgetful{keyring})}))
	require.ErrorContains(t, err, `the agent does not have "mine" any more`)
}

// forgetful is an agent that forgets all keys instead of signing.
type forgetful struct{ agent.ExtendedAgent }

func (f forgetful) SignWithFlags(ssh.PublicKey, []byte, agent.SignatureFlags) (*ssh.Signature, error) {
	if err := f.RemoveAll(); err != nil {
		return nil, err
	}
	return nil, os.ErrNotExist
}
