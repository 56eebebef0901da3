package identity_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// sshAgent is a real ssh-agent.
type sshAgent struct {
	t      testing.TB
	dir    string
	socket string
}

// startAgent starts an ssh-agent that ends with the test. Every question for
// confirmation is answered with no.
func startAgent(t testing.TB) *sshAgent {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // names of sockets are short
	require.NoError(t, err)
	a := &sshAgent{t, dir, filepath.Join(dir, "socket")}
	cmd := exec.Command("ssh-agent", "-D", "-a", a.socket)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS=/bin/false", "SSH_ASKPASS_REQUIRE=force")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	_, err = out.Read(make([]byte, 1)) // the agent listens before it prints the socket
	require.NoError(t, err)
	return a
}

// add runs ssh-add.
func (a *sshAgent) add(args ...string) string {
	a.t.Helper()
	cmd := exec.Command("ssh-add", args...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+a.socket, "SSH_ASKPASS=/bin/cat", "SSH_ASKPASS_REQUIRE=force")
	out, err := cmd.CombinedOutput()
	require.NoErrorf(a.t, err, "ssh-add %q: %s", args, out)
	return string(out)
}

// login logs in with a method, and returns the attempts. The server shows a plain
// key unless other algorithms are named.
func login(ctx context.Context, s *sshtest.Server, m userauth.Method, hostKeys ...string) (tried []userauth.Attempt, err error) {
	nc, err := s.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	config := &transport.Config{HostKey: transport.FixedHostKey(s.HostKeys...), Addr: s.Addr}
	if len(hostKeys) > 0 {
		config.HostKeyAlgorithms = hostKeys
		config.HostKey = transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil })
	}
	c := transport.Client(nc, config)
	defer c.Close()
	if err := c.Handshake(ctx); err != nil {
		return nil, err
	}
	err = userauth.Authenticate(ctx, c, &userauth.Config{
		User: s.User, Methods: []userauth.Method{m}, Trace: func(a userauth.Attempt) { tried = append(tried, a) },
	})
	return tried, err
}

// names are the fingerprints of the attempts, certificates marked by "+".
func names(tried []userauth.Attempt) (all []string) {
	for _, a := range tried {
		name := ssh.FingerprintSHA256(a.Key)
		if cert, ok := a.Key.(*ssh.Certificate); ok {
			name = ssh.FingerprintSHA256(cert.Key) + "+"
		}
		all = append(all, name)
	}
	return all
}

func port(s *sshtest.Server) string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

func public(t testing.TB, file string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey(read(t, file))
	require.NoError(t, err)
	return key
}

// strangers gives new keys, unknown to all servers, to the agent.
func (a *sshAgent) strangers(names ...string) {
	for _, name := range names {
		a.add("-q", keygen(a.t, a.dir, name, ""))
	}
}

// run runs a program in dir and returns the output.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoErrorf(t, err, "%s %q: %s", name, args, &stderr)
	return string(out)
}

// keygen makes a key with ssh-keygen, and returns its file.
func keygen(t testing.TB, dir, name, passphrase string, args ...string) string {
	t.Helper()
	run(t, dir, "ssh-keygen", append([]string{"-q", "-f", name, "-N", passphrase, "-C", "", "-t", "ed25519", "-a", "1"}, args...)...)
	return filepath.Join(dir, name)
}

// fingerprint asks ssh-keygen.
func fingerprint(t testing.TB, file string) string {
	t.Helper()
	return strings.Fields(run(t, "", "ssh-keygen", "-lf", file))[1]
}

// load loads a key without a certificate.
func load(t testing.TB, file string, options *identity.Options) ssh.Signer {
	t.Helper()
	signers, err := identity.Load(t.Context(), file, options)
	require.NoError(t, err)
	require.Len(t, signers, 1)
	return signers[0]
}

// requireSigns verifies a signature with each algorithm of a key.
func requireSigns(t testing.TB, s ssh.Signer) {
	t.Helper()
	for _, algorithm := range s.(ssh.MultiAlgorithmSigner).Algorithms() {
		signature, err := s.(ssh.AlgorithmSigner).SignWithAlgorithm(nil, []byte("data"), algorithm)
		require.NoError(t, err)
		require.Equal(t, algorithm, signature.Format)
		require.NoError(t, s.PublicKey().Verify([]byte("data"), signature))
	}
}

// answers is a passphrase func with a list of passphrases, and records the
// requests.
type answers struct {
	give  []string
	asked []identity.PassphraseRequest
}

var errNobody = errors.New("nobody is there")

func (a *answers) ask(_ context.Context, r *identity.PassphraseRequest) ([]byte, error) {
	a.asked = append(a.asked, *r)
	if len(a.give) == 0 {
		return nil, errNobody
	}
	next := a.give[0]
	a.give = a.give[1:]
	return []byte(next), nil
}

func options(give ...string) (*identity.Options, *answers) {
	a := &answers{give: give}
	return &identity.Options{Passphrase: a.ask}, a
}

func write(t testing.TB, file string, data []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}
