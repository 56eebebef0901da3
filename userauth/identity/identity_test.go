package identity_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// The order is compared with the output of ssh -v.
func TestOrderIsThatOfOpenSSH(t *testing.T) {
	a := startAgent(t)
	ca := keygen(t, a.dir, "ca", "")
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		keygen(t, a.dir, name, "")
	}
	for _, name := range []string{"a", "b", "e"} {
		run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", name, "-n", "nobody", name+".pub")
	}
	for _, name := range []string{"c", "b", "d"} { // and b's certificate
		a.add("-q", filepath.Join(a.dir, name))
	}
	require.NoError(t, os.Rename(filepath.Join(a.dir, "d"), filepath.Join(a.dir, "d-is-elsewhere")))
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 50"}})
	for _, only := range []bool{false, true} {
		option := map[bool]string{false: "no", true: "yes"}[only]
		args := []string{"-F", "none", "-v", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "IdentityAgent=" + a.socket, "-o", "IdentitiesOnly=" + option, "-p", port(s)}
		var keys []ssh.Signer
		for _, name := range []string{"a", "d", "b", "e"} {
			file := filepath.Join(a.dir, name)
			args = append(args, "-o", "IdentityFile="+file) // -i wants the private key
			signers, err := identity.Load(t.Context(), file, nil)
			require.NoError(t, err)
			keys = append(keys, signers...)
		}
		out, err := exec.Command("ssh", append(args, s.User+"@127.0.0.1", "true")...).CombinedOutput()
		require.Error(t, err)
		var want []string
		for line := range strings.Lines(string(out)) {
			if _, offer, ok := strings.Cut(line, "Offering public key: "); ok {
				i := strings.Index(offer, "SHA256:")
				name := strings.Fields(offer[i:])[0]
				if strings.Contains(offer[:i], "-CERT") {
					name += "+"
				}
				want = append(want, name)
			}
		}
		require.Len(t, want, map[bool]int{false: 8, true: 7}[only], "%s", out)
		tried, err := login(t.Context(), s, identity.Method(&identity.Config{
			Keys: keys, Agent: identity.AgentSocket(a.socket), IdentitiesOnly: only,
		}))
		require.Error(t, err)
		require.Equal(t, want, names(tried))
	}
}

func TestCertificateInAFileAndItsKeyInTheAgent(t *testing.T) {
	a := startAgent(t)
	ca, file := keygen(t, a.dir, "ca", ""), keygen(t, a.dir, "key", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: public(t, ca+".pub")})
	a.add("-q", file)
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, file+".pub")
	require.NoError(t, os.Remove(file))
	for _, name := range []string{file, file + "-cert.pub"} {
		signers, err := identity.Load(t.Context(), name, nil)
		require.NoError(t, err)
		tried, err := login(t.Context(), s, identity.Method(&identity.Config{
			Keys: signers, Agent: identity.AgentSocket(a.socket), IdentitiesOnly: true,
		}))
		require.NoError(t, err)
		require.Equal(t, fingerprint(t, file+".pub")+"+", names(tried)[len(tried)-1])
	}

	// The restriction holds for a key of the agent, too.
	a.add("-q", "-D")
	keygen(t, a.dir, "another", "")
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, "another.pub")
	a.add("-q", filepath.Join(a.dir, "another"))
	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.AgentSocket(a.socket)}))
	require.NoError(t, err)
}

func TestFunctionsOfTheREADME(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	a.strangers("a", "b", "c", "d", "e", "f")
	a.add("-q", file)
	t.Setenv("SSH_AUTH_SOCK", a.socket)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
	method, err := deployment(t.Context(), file, nil)
	require.NoError(t, err)
	tried, err := login(t.Context(), s, method)
	require.NoError(t, err)
	require.Len(t, tried, 1)

	client, err := nacre.Dial(t.Context(), s.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKeys...), Auth: []userauth.Method{method},
	})
	require.NoError(t, err)
	defer client.Close()
	_, err = withAgent(t.Context(), client)
	require.ErrorAs(t, err, new(*channel.ExitError), "there is no repository")
}

func TestRestrictionsOfASignerHoldWithAnAgentToo(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "", "-t", "rsa", "-b", "2048")
	a.add("-q", file)
	limited, err := ssh.NewSignerWithAlgorithms(load(t, file, nil).(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSASHA256})
	require.NoError(t, err)
	m := identity.Method(&identity.Config{Keys: []ssh.Signer{nil, limited}, Agent: identity.AgentSocket(a.socket), IdentitiesOnly: true})
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

// keyless is a signer without a key.
type keyless struct{ ssh.Signer }

func (keyless) PublicKey() ssh.PublicKey { return nil }
