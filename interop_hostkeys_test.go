package nacre_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

func loaded(t *testing.T, file string) *knownhosts.DB {
	t.Helper()
	d, err := knownhosts.Load(file)
	require.NoError(t, err)
	return d
}

// lines returns how many lines a file has.
func lines(t *testing.T, file string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return bytes.Count(content, []byte("\n"))
}

func TestKeysAreLearnedAfterAuthenticationOnly(t *testing.T) {
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, nil), "openssh": sshtest.OpenSSH(t, nil), "dropbear": sshtest.Dropbear(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			c := config(s)
			c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew}
			c.Auth = []userauth.Method{userauth.PublicKeys(sshtest.NewSigner(t, ssh.KeyAlgoED25519))}
			_, err := nacre.Dial(t.Context(), s.Target, c)
			phase(t, "authenticate", err)
			require.NoFileExists(t, file)

			c.Auth = []userauth.Method{userauth.PublicKeys(s.Signer)}
			for range 2 {
				out, err := nacre.Command(t.Context(), s.Target, c, "echo in").Output()
				require.NoError(t, err)
				require.Equal(t, "in\n", string(out))
			}
			require.Equal(t, 1, lines(t, file))
			c.HostKey = loaded(t, file)
			client, err := nacre.Dial(t.Context(), s.Target, c)
			require.NoError(t, err)
			require.NoError(t, client.Close())
		})
	}
}

// A host with a replaced key is refused while a client of the old host is connected.
func TestAHostWhoseKeyWasReplacedIsRefused(t *testing.T) {
	first := sshtest.NewServer(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	c := config(first)
	c.HostKey = &knownhosts.Policy{
		Sources: []knownhosts.Source{loaded(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, HostKeyAlias: "host",
	}
	client, err := nacre.Dial(t.Context(), first.Target, c)
	require.NoError(t, err)
	defer client.Close()

	second := sshtest.NewServer(t, nil)
	c.Auth = []userauth.Method{userauth.PublicKeys(second.Signer)}
	_, err = nacre.Dial(t.Context(), second.Target, c)
	phase(t, "handshake", err)
	var refusal *knownhosts.KeyError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, knownhosts.Changed, refusal.Kind)
	for _, part := range []string{
		second.Addr, ssh.FingerprintSHA256(second.HostKey), file + ":1: ssh-ed25519 " + ssh.FingerprintSHA256(first.HostKey),
		"ssh-keygen -R 'host' -f '" + file + "'",
	} {
		require.ErrorContains(t, err, part)
	}
	require.NoError(t, client.Command(t.Context(), "true").Run())
}

// refusedLater is a verifier that accepts every key, and refuses to learn any.
type refusedLater struct{ knownhosts.InsecureAcceptAny }

var errThoughtBetter = errors.New("thought better of it")

func (refusedLater) LearnHostKey(context.Context, string, net.Addr, ssh.PublicKey) error {
	return errThoughtBetter
}

func TestAKeyThatMustNotBeLearnedEndsTheConnection(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := config(s)
	c.HostKey = refusedLater{}
	_, err := nacre.Dial(t.Context(), s.Target, c)
	phase(t, "handshake", err)
	require.ErrorIs(t, err, errThoughtBetter)
	require.ErrorAs(t, err, new(*transport.HostKeyError))
	require.ErrorIs(t, nacre.Command(t.Context(), s.Target, c, "true").Run(), errThoughtBetter)
}

// A rotation holds up no command: here the user never answers the question about
// new keys.
func TestRotationIsNoHindrance(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, loaded(t, file).Add(s.Addr, s.HostKey))
	c := config(s)
	c.HostKey = &knownhosts.Policy{
		Sources: []knownhosts.Source{loaded(t, file)}, UpdateHostKeys: knownhosts.UpdateAsk,
		Prompt: func(ctx context.Context, _ *knownhosts.Question) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		},
	}
	for range 3 {
		out, err := nacre.Command(t.Context(), s.Target, c, "echo done").Output()
		require.NoError(t, err)
		require.Equal(t, "done\n", string(out))
	}
	require.Equal(t, 1, lines(t, file))
}

// A host certificate shown by sshd is accepted by its authority, until a revocation
// list made with ssh-keygen has the authority's key.
func TestHostCertificatesOfSSHKeygen(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{HostCA: ca})
	trust := knownhosts.Parse("hosts", append([]byte("@cert-authority * "), ssh.MarshalAuthorizedKey(ca.PublicKey())...))
	c := config(s)
	c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{trust.Authorities()}, UpdateHostKeys: knownhosts.UpdateYes}
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	require.IsType(t, new(ssh.Certificate), client.Transport().State().HostKey)
	require.NoError(t, client.Close())

	dir := t.TempDir()
	spec, list := filepath.Join(dir, "spec"), filepath.Join(dir, "krl")
	require.NoError(t, os.WriteFile(spec, bytes.Join([][]byte{[]byte("key: "), ssh.MarshalAuthorizedKey(ca.PublicKey())}, nil), 0o600))
	out, err := exec.Command("ssh-keygen", "-k", "-f", list, spec).CombinedOutput()
	require.NoError(t, err, string(out))
	revoked, err := knownhosts.LoadRevocations(list)
	require.NoError(t, err)
	c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{trust, revoked}}
	_, err = nacre.Dial(t.Context(), s.Target, c)
	phase(t, "handshake", err)
	require.ErrorContains(t, err, "host key is revoked")
	require.ErrorContains(t, err, list)
}
