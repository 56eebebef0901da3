package identity_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestRefusalsOfTheAgentAreExplainedAndTheNextKeyIsTried(t *testing.T) {
	a := startAgent(t)
	file, next := keygen(t, a.dir, "key", ""), keygen(t, a.dir, "next", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub"), public(t, next+".pub")}})
	a.add("-q", "-c", file)
	connect := identity.AgentSocket(a.socket)

	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
	require.ErrorContains(t, err, "publickey ssh-ed25519 "+fingerprint(t, file))
	require.ErrorContains(t, err, "did not sign with \""+file+"\" (agent: failed to sign challenge): not confirmed (ssh-add -c)")

	a.add("-q", next)
	tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
	require.NoError(t, err)
	require.Equal(t, []string{fingerprint(t, file), fingerprint(t, next)}, names(tried))
	require.ErrorContains(t, tried[0].Err, "the agent did not sign with")

	// A key that is in a file as well needs no confirmation there.
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, file, nil)}, Agent: connect, Only: true}))
	require.NoError(t, err)
	require.Len(t, tried, 1)
}

// Where the agent refuses, the file may sign instead; but nobody types its
// passphrase for a server that does not want the key.
func TestPassphraseOfAKeyThatTheAgentRefuses(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	wants := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
	other := sshtest.OpenSSH(t, nil)
	known := write(t, filepath.Join(a.dir, "known_hosts"), wants.KnownHosts())
	locked := filepath.Join(a.dir, "locked")
	write(t, locked, read(t, file))
	run(t, a.dir, "ssh-keygen", "-q", "-p", "-a", "1", "-f", locked, "-P", "", "-N", "secret")
	for name, test := range map[string]struct {
		add    []string
		server *sshtest.Server
		asked  int
	}{
		"wanted":                       {[]string{"-c", file}, wants, 1},
		"not wanted":                   {[]string{"-c", file}, other, 0},
		"not refused once it is bound": {[]string{"-H", known, "-h", "[127.0.0.1]:" + port(wants), file}, wants, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a.add("-q", "-D")
			a.add(append([]string{"-q"}, test.add...)...)
			o, asked := options("secret")
			tried, err := login(t.Context(), test.server, identity.Method(&identity.Config{
				Keys: []ssh.Signer{load(t, locked, o)}, Agent: identity.AgentSocket(a.socket), Only: true,
			}))
			require.Len(t, asked.asked, test.asked)
			require.Equal(t, test.server == wants, err == nil, err)
			if err != nil {
				require.ErrorContains(t, tried[0].Err, "the agent did not sign")
				require.Equal(t, userauth.Failure, tried[1].Status)
				require.NoError(t, tried[1].Err)
			}
		})
	}
}

func TestRestrictionsOfASignerHoldWithAnAgentToo(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "", "-t", "rsa", "-b", "2048")
	a.add("-q", file)
	limited, err := ssh.NewSignerWithAlgorithms(load(t, file, nil).(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSASHA256})
	require.NoError(t, err)
	m := identity.Method(&identity.Config{Keys: []ssh.Signer{nil, limited}, Agent: identity.AgentSocket(a.socket), Only: true})
	for algorithm, want := range map[string]bool{ssh.KeyAlgoRSASHA256: true, ssh.KeyAlgoRSASHA512: false} {
		s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
			AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}, Config: []string{"PubkeyAcceptedAlgorithms " + algorithm},
		})
		_, err := login(t.Context(), s, m)
		require.Equal(t, want, err == nil, "%s: %v", algorithm, err)
	}
}

func TestSignersWithoutAKeyArePassedOver(t *testing.T) {
	a := startAgent(t)
	a.strangers("key")
	s := sshtest.NewServer(t, nil)
	tried, err := login(t.Context(), s, identity.Method(&identity.Config{
		Keys: []ssh.Signer{keyless{}, nil, s.Signer}, Agent: identity.AgentSocket(a.socket),
	}))
	require.NoError(t, err)
	require.ErrorContains(t, tried[0].Err, "signer without a key")
}

// keyless is a signer that lacks the essential.
type keyless struct{ ssh.Signer }

func (keyless) PublicKey() ssh.PublicKey { return nil }

func TestAgentThatDiesBeforeItSignsIsToldFromOneThatRefuses(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	connect := fakeAgent(func(request []byte) []byte {
		if request[0] != 11 {
			return reply([]byte{5})
		}
		return reply(append([]byte{12, 0, 0, 0, 1}, ssh.Marshal(struct{ Blob, Comment []byte }{key.PublicKey().Marshal(), nil})...))
	})
	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: func(ctx context.Context) (net.Conn, error) {
		c, err := connect(ctx)
		return &dying{Conn: c}, err
	}}))
	require.ErrorContains(t, err, "signer: identity: the agent failed: agent: client error: write: broken pipe")
	require.NotContains(t, err.Error(), "ssh-add", "nothing was refused")
}

// dying is a connection to an agent that is gone when it should sign.
type dying struct {
	net.Conn
	dead bool
}

func (d *dying) Write(p []byte) (int, error) {
	if d.dead = d.dead || p[4] == 13; d.dead {
		return 0, os.NewSyscallError("write", syscall.EPIPE)
	}
	return d.Conn.Write(p)
}
