package nacre_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// works checks that the methods authenticate the user, and that a command runs.
func works(t *testing.T, s *sshtest.Server, methods ...userauth.Method) {
	t.Helper()
	client := dial(t, s, func(c *nacre.Config) { c.Auth = methods })
	out, err := client.Command(t.Context(), "echo in").Output()
	require.NoError(t, err)
	require.Equal(t, "in\n", string(out))
}

func fails(t *testing.T, s *sshtest.Server, methods ...userauth.Method) {
	t.Helper()
	c := config(s)
	c.Auth = methods
	_, err := nacre.Dial(t.Context(), s.Target, c)
	phase(t, "authenticate", err)
	require.ErrorAs(t, err, new(*userauth.Error))
}

var userKeys = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}

func TestUserKeysOfEveryType(t *testing.T) {
	var signers []ssh.Signer
	var keys []ssh.PublicKey
	for _, name := range userKeys {
		signers = append(signers, sshtest.NewSigner(t, name))
		keys = append(keys, signers[len(signers)-1].PublicKey())
	}
	stranger := sshtest.NewSigner(t, ssh.KeyAlgoECDSA256)
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: keys}),
		"openssh":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: keys}),
		"dropbear": sshtest.Dropbear(t, &sshtest.DaemonOptions{AuthorizedKeys: keys}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, signer := range signers {
				works(t, s, userauth.PublicKeys(signer))
			}
			works(t, s, userauth.PublicKeys(stranger, signers[1]))
			fails(t, s, userauth.PublicKeys(stranger))
		})
	}
}

func TestUserCertificates(t *testing.T) {
	ca, impostor := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, &sshtest.Options{UserCA: ca.PublicKey()}),
		"openssh":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: ca.PublicKey()}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, keyType := range userKeys {
				key := sshtest.NewSigner(t, keyType)
				works(t, s, userauth.PublicKeys(sshtest.NewCertSigner(t, ca, key, ssh.UserCert, s.User)))
			}
			key := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
			fails(t, s, userauth.PublicKeys(sshtest.NewCertSigner(t, ca, key, ssh.UserCert, "somebody-else")))
			fails(t, s, userauth.PublicKeys(sshtest.NewCertSigner(t, impostor, key, ssh.UserCert, s.User)))
			fails(t, s, userauth.PublicKeys(sshtest.NewCertSigner(t, ca, key, ssh.HostCert, s.User)))
		})
	}
}

func TestHostCertificates(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, &sshtest.Options{HostCA: ca}),
		"openssh":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{HostCA: ca}),
	} {
		t.Run(name, func(t *testing.T) {
			line := "@cert-authority [127.0.0.1]:* " + string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
			client := dial(t, s, func(c *nacre.Config) { c.HostKey = knownhosts.Parse("hosts", []byte(line)) })
			require.IsType(t, new(ssh.Certificate), client.Transport().State().HostKey)

			c := config(s)
			c.HostKey = knownhosts.Parse("hosts", []byte("@revoked * "+string(ssh.MarshalAuthorizedKey(ca.PublicKey()))+line))
			c.Transport.HostKeyAlgorithms = []string{ssh.CertAlgoED25519v01} // a plain key would just be unknown
			_, err := nacre.Dial(t.Context(), s.Target, c)
			phase(t, "handshake", err)
			var refused *knownhosts.KeyError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, knownhosts.Revoked, refused.Kind)
		})
	}
}

func TestPasswords(t *testing.T) {
	questions := []sshtest.Question{{Prompt: "Password: ", Answer: "one"}, {Prompt: "Code: ", Echo: true, Answer: "two"}}
	answer := userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) ([]string, error) {
		return []string{"one", "two"}[:len(c.Prompts)], nil
	})
	wrong := userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) ([]string, error) {
		return make([]string, len(c.Prompts)), nil
	})
	t.Run("any", func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{Questions: questions})
		works(t, s, userauth.Password(s.Password))
		works(t, s, answer)
		works(t, s, userauth.None(), userauth.Password("wrong"), wrong, userauth.PublicKeys(s.Signer))
		fails(t, s, userauth.Password("wrong"))
		fails(t, s, wrong)
	})
	t.Run("all", func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{
			Questions: questions,
			Factors:   []string{"publickey", "password", "keyboard-interactive"},
		})
		// The order of the server counts, not ours.
		works(t, s, answer, userauth.Password(s.Password), userauth.PublicKeys(s.Signer))
		fails(t, s, userauth.PublicKeys(s.Signer))
		fails(t, s, answer, userauth.PublicKeys(s.Signer))
	})
	t.Run("none", func(t *testing.T) {
		works(t, sshtest.NewServer(t, &sshtest.Options{Factors: []string{"none"}}), userauth.None())
	})
	t.Run("partial success of sshd", func(t *testing.T) {
		first, second := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoECDSA256)
		s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
			AuthorizedKeys: []ssh.PublicKey{first.PublicKey(), second.PublicKey()},
			Config:         []string{"AuthenticationMethods publickey,publickey"},
		})
		works(t, s, userauth.PublicKeys(first, second))
		fails(t, s, userauth.PublicKeys(first))
	})
}

func TestAgents(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	for name, a := range map[string]agent.Agent{"keyring": agent.NewKeyring(), "ssh-agent": startAgent(t)} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key}})
			fails(t, s, userauth.Agent(a)) // still empty
			_, stranger, err := ed25519.GenerateKey(rand.Reader)
			require.NoError(t, err)
			require.NoError(t, a.Add(agent.AddedKey{PrivateKey: stranger}))
			fails(t, s, userauth.Agent(a))
			require.NoError(t, a.Add(agent.AddedKey{PrivateKey: private}))
			works(t, s, userauth.Agent(a))
			works(t, sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{key}}), userauth.Agent(a))
		})
	}
}

// startAgent returns a client of a real ssh-agent. The agent ends with the test.
func startAgent(t *testing.T) agent.Agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // shorter than t.TempDir, as the name of a socket has to be
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "agent")
	out, err := exec.Command("ssh-agent", "-s", "-a", socket).Output() // the agent goes on in the background
	require.NoError(t, err)
	found := regexp.MustCompile(`SSH_AGENT_PID=(\d+);`).FindSubmatch(out)
	require.NotNil(t, found, string(out))
	pid, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	process, err := os.FindProcess(pid)
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Kill() })
	c, err := net.Dial("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return agent.NewClient(c)
}
