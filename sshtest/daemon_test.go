package sshtest_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestDaemonsKnowTheirHostKeys(t *testing.T) {
	for _, name := range []string{"OpenSSH", "Dropbear"} {
		s := servers[name](t)
		for _, key := range s.HostKeys {
			t.Run(name+" "+key.Type(), func(t *testing.T) {
				algorithm := key.Type()
				if algorithm == ssh.KeyAlgoRSA {
					algorithm = ssh.KeyAlgoRSASHA256
				}
				var shown ssh.PublicKey
				login(t, s, func(c *ssh.ClientConfig) {
					c.HostKeyAlgorithms = []string{algorithm}
					c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
						shown = key
						return nil
					}
				})
				require.Equal(t, key.Marshal(), shown.Marshal())
			})
		}
	}
}

func TestDaemonsAcceptAuthorizedKeys(t *testing.T) {
	for _, keyType := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		key := sshtest.NewSigner(t, keyType)
		options := &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}
		for _, s := range []*sshtest.Server{sshtest.OpenSSH(t, options), sshtest.Dropbear(t, options)} {
			login(t, s, func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.PublicKeys(key)} })
		}
	}
}

// An sshd leaves commands without a terminal running when the connection is
// lost; the harness does not, wherever there is a /proc.
func TestCloseKillsWhatADaemonLeftBehind(t *testing.T) {
	for _, name := range []string{"Exec", "OpenSSH", "Dropbear"} {
		t.Run(name, func(t *testing.T) {
			s := servers[name](t)
			session := newSession(t, s)
			stdout, err := session.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, session.Start("sleep 1000 & echo $!; wait"))
			pid, err := bufio.NewReader(stdout).ReadString('\n')
			require.NoError(t, err)
			cmdline := filepath.Join("/proc", strings.TrimSpace(pid), "cmdline")
			require.FileExists(t, cmdline)
			require.NoError(t, s.Close())
			require.Eventually(t, func() bool {
				text, _ := os.ReadFile(cmdline)
				return len(text) == 0 // gone, or dead and not yet waited for
			}, time.Minute, time.Millisecond)
		})
	}
}

func TestDaemonServesTCPOnly(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	client, server := sshtest.Pipe()
	s.ServeConn(server)
	_, err := client.Read(make([]byte, 1))
	require.Error(t, err)
	require.Contains(t, s.Log(), "cannot serve")
}

func TestRealClientsLogIn(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	s := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}})
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	dir := t.TempDir()
	identity, known := filepath.Join(dir, "id"), filepath.Join(dir, "known_hosts")
	require.NoError(t, os.WriteFile(identity, pem.EncodeToMemory(block), 0o600))
	require.NoError(t, os.WriteFile(known, s.KnownHosts(), 0o600))

	for name, args := range map[string][]string{
		"ssh": {"-F", "none", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-o", "GlobalKnownHostsFile=none",
			"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + known, "-i", identity},
		"dbclient": {"-y", "-y"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(args, "-p", port, "-l", s.User, host, "cat")
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Env = append(os.Environ(), "DROPBEAR_PASSWORD="+s.Password, "HOME="+dir)
			cmd.Stdin = strings.NewReader("from the client")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			require.NoError(t, err, "%s", &stderr)
			require.Equal(t, "from the client", string(out))
		})
	}
}

func TestMissingDaemonFailsTheTest(t *testing.T) {
	r := record(t, func(tb testing.TB) { sshtest.Program(tb, "no-such-daemon", "no-such-package") })
	require.True(t, r.failed)
	require.Equal(t, "sshtest: no-such-daemon is needed and not installed: apt-get install no-such-package", r.log)
}

func TestBadOptionsFailTheTest(t *testing.T) {
	for name, f := range map[string]func(tb testing.TB){
		"factor":   func(tb testing.TB) { sshtest.NewServer(tb, &sshtest.Options{Factors: []string{"retina"}}) },
		"dropbear": func(tb testing.TB) { sshtest.Dropbear(tb, &sshtest.DaemonOptions{Config: []string{"Port 22"}}) },
		"key":      func(tb testing.TB) { sshtest.NewSigner(tb, "ssh-dss") },
	} {
		t.Run(name, func(t *testing.T) { require.True(t, record(t, f).failed) })
	}
}
