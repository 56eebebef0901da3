package identity_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestMain(m *testing.M) { sshtest.Main(m) }

// run runs a program in dir and returns what it prints.
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

// load loads one key without a certificate.
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

// answers is a passphrase func that gives these, one after the other, and
// keeps the requests.
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
