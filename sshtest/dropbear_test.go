package sshtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestDropbearHasFourHostKeysAndAHomeOfItsOwn(t *testing.T) {
	s := sshtest.Dropbear(t, nil)
	var types []string
	for _, key := range s.HostKeys {
		types = append(types, key.Type())
	}
	require.Equal(t, []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}, types)

	out, err := newSession(t, s).Output("cat ~/.ssh/authorized_keys")
	require.NoError(t, err)
	require.Equal(t, ssh.MarshalAuthorizedKey(s.Signer.PublicKey()), out)
}

func TestDropbearTakesItsOptions(t *testing.T) {
	s := sshtest.Dropbear(t, &sshtest.DaemonOptions{Args: []string{"-c", "echo forced"}})
	out, err := newSession(t, s).Output("echo free")
	require.NoError(t, err)
	require.Equal(t, "forced\n", string(out))
}
