package sshtest_test

import (
	"bufio"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestOpenSSHConfig(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{
		"Ciphers aes128-ctr",
		"RekeyLimit 16K",
		"Subsystem hello echo hello",
	}})
	client := login(t, s, nil)
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("head -c 200000 /dev/zero")
	require.NoError(t, err)
	require.Len(t, out, 200_000)

	session, err = client.NewSession()
	require.NoError(t, err)
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, session.RequestSubsystem("hello"))
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)

	_, err = dial(t, s, func(c *ssh.ClientConfig) { c.Ciphers = []string{ssh.CipherAES256GCM} })
	require.Error(t, err)
	require.Contains(t, s.Log(), "Accepted publickey")
}

func TestOpenSSHUserCertificates(t *testing.T) {
	ca, key := sshtest.NewSigner(t, ssh.KeyAlgoECDSA256), sshtest.NewSigner(t, ssh.KeyAlgoECDSA521)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: ca.PublicKey()})
	for user, denied := range map[string]bool{s.User: false, "mallory": true} {
		_, err := dial(t, s, func(c *ssh.ClientConfig) {
			c.Auth = []ssh.AuthMethod{ssh.PublicKeys(sshtest.NewCertSigner(t, ca, key, ssh.UserCert, user))}
		})
		require.Equal(t, denied, err != nil, "%v", err)
	}
}

// sshd_config has quotes and percent signs of its own.
func TestDaemonInADirectoryWithAnyName(t *testing.T) {
	dir := t.TempDir() + "/100% of %h"
	require.NoError(t, os.Mkdir(dir, 0o700))
	t.Setenv("TMPDIR", dir)
	t.Run("50%done", func(t *testing.T) {
		require.NoError(t, newSession(t, sshtest.OpenSSH(t, nil)).Run("true"))
	})
}
