package sshconfig_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestAlgorithms checks the modifiers with the lists of a caller.
func TestAlgorithms(t *testing.T) {
	for text, want := range map[string][]string{
		"": {"aes256-ctr", "aes128-ctr"}, "Ciphers aes128-ctr": {"aes128-ctr"}, "Ciphers +3des-cbc,aes128-ctr": {"aes256-ctr", "aes128-ctr", "3des-cbc"},
		"Ciphers -*128*": {"aes256-ctr"}, "Ciphers ^3des-cbc,aes128-ctr": {"3des-cbc", "aes128-ctr", "aes256-ctr"}, "Ciphers -*": {},
	} {
		l := loader(text)
		l.Defaults.Ciphers = []string{"aes256-ctr", "aes128-ctr", "unsupported"}
		l.Supported.Ciphers = []string{"3des-cbc", "aes128-ctr", "aes256-ctr"}
		config, err := l.Load(t.Context(), "host")
		require.NoError(t, err, text)
		require.Equal(t, want, config.Ciphers, text)
		require.Contains(t, config.KexAlgorithms, "mlkem768x25519-sha256", "OpenSSH's own list")
	}
}

// TestOpenSSH10Algorithms checks names that the ssh of the oracle does not have.
func TestOpenSSH10Algorithms(t *testing.T) {
	config := load(t, "KexAlgorithms mlkem768x25519-sha256,mlkem768nistp256-sha256\nHostKeyAlgorithms ^ssh-mldsa44-ed25519@openssh.com\nPubkeyAcceptedAlgorithms *@openssh.com\n", "host")
	require.Len(t, config.KexAlgorithms, 2)
	require.Equal(t, "ssh-mldsa44-ed25519@openssh.com", config.HostKeyAlgorithms[0])
	require.NotContains(t, config.PubkeyAcceptedAlgorithms, "ssh-ed25519")
	require.ErrorContains(t, refuse(t, "HostKeyAlgorithms ssh-dss", "host"), `algorithm "ssh-dss" is not known`)
	require.ErrorContains(t, refuse(t, "PubkeyAcceptedAlgorithms rsa", "host"), "the list leaves no algorithm")
	require.ErrorContains(t, refuse(t, "HostKeyAlgorithms *,!ssh-rsa", "host"), "negated pattern")
	require.False(t, slices.Contains(load(t, "CASignatureAlgorithms -rsa*", "host").CASignatureAlgorithms, "rsa-sha2-512"))
	require.Equal(t, sshconfig.Algorithms{}, new(sshconfig.Loader).Defaults)
}
