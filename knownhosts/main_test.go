package knownhosts_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
)

// TestMain lets the test binary serve as a process that learns hosts, asks, or rotates keys: see add_test.go, ask_test.go
// and rotate_test.go.
func TestMain(m *testing.M) {
	if file := os.Getenv(learnVariable); file != "" {
		d, err := knownhosts.Load(file)
		for _, addr := range os.Args[1:] {
			if err == nil {
				err = d.Add(addr, key("host"))
			}
		}
		exit(err)
	}
	if os.Getenv(askVariable) != "" {
		exit(askOnTerminal())
	}
	if file := os.Getenv(rotateVariable); file != "" {
		exit(rotateInProcess(file))
	}
	sshtest.Main(m)
}

// exit is the end of a process that was to do something else than test.
func exit(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

// signer returns the Ed25519 key that goes by name in a test.
func signer(name string) ssh.Signer {
	seed := sha256.Sum256([]byte(name))
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	return s
}

func key(name string) ssh.PublicKey { return signer(name).PublicKey() }

var rsaSigner = sync.OnceValue(func() ssh.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		panic(err)
	}
	return s
})

var ecdsaSigner = sync.OnceValue(func() ssh.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		panic(err)
	}
	return s
})

// text is the key as the two fields of a line.
func text(k ssh.PublicKey) string {
	return k.Type() + " " + base64.StdEncoding.EncodeToString(k.Marshal())
}

// certificate returns a host certificate for the key "host" that is good unless change makes it bad.
func certificate(tb testing.TB, ca ssh.Signer, change func(c *ssh.Certificate)) *ssh.Certificate {
	tb.Helper()
	c := &ssh.Certificate{
		Key:             key("host"),
		CertType:        ssh.HostCert,
		KeyId:           "test",
		ValidPrincipals: []string{"host.example"},
		ValidAfter:      uint64(time.Now().Add(-time.Hour).Unix()),
		ValidBefore:     uint64(time.Now().Add(time.Hour).Unix()),
	}
	if change != nil {
		change(c)
	}
	require.NoError(tb, c.SignCert(rand.Reader, ca))
	return c
}

func verify(tb testing.TB, d *knownhosts.DB, addr string, k ssh.PublicKey) error {
	return d.VerifyHostKey(tb.Context(), addr, nil, k)
}

// requireKind checks that err is a refusal of the given kind; zero means that there is none.
func requireKind(tb testing.TB, want knownhosts.Kind, err error) {
	tb.Helper()
	if want == 0 {
		require.NoError(tb, err)
		return
	}
	var refusal *knownhosts.KeyError
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, want, refusal.Kind, err)
}

func write(tb testing.TB, content string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "known_hosts")
	require.NoError(tb, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func load(tb testing.TB, files ...string) *knownhosts.DB {
	tb.Helper()
	d, err := knownhosts.Load(files...)
	require.NoError(tb, err)
	return d
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile(name)
	require.NoError(tb, err)
	return string(content)
}
