package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestLists checks both kinds of lists: with all lines, and with the first line.
func TestLists(t *testing.T) {
	config := load(t, "ProxyCommand x\nSendEnv LANG LC_*\nSendEnv -LC_* X\nSetEnv A=1 A=2 B=\"x y\"\nSetEnv C=3\nUserKnownHostsFile /a /b\nUserKnownHostsFile /c\n"+
		"GlobalKnownHostsFile none\nIdentityFile /a\nIdentityFile /a\nCanonicalDomains A.Example. b.example\nLogVerbose a b\n"+
		"CanonicalizePermittedCNAMEs A:b *\nPermitRemoteOpen a:1 [::1]:*\nPreferredAuthentications a,b\n", "host")
	require.Equal(t, []string{"LANG", "X"}, config.SendEnv)
	require.Equal(t, []string{"A=1", "B=x y"}, config.SetEnv)
	require.Equal(t, []string{"/a", "/b"}, config.UserKnownHostsFile)
	require.Empty(t, config.GlobalKnownHostsFile)
	require.Equal(t, []string{"/a"}, config.IdentityFile)
	require.Equal(t, []string{"a.example", "b.example"}, config.CanonicalDomains)
	require.Equal(t, []string{"a"}, config.LogVerbose, "OpenSSH keeps the first")
	require.Equal(t, []sshconfig.CNAMERule{{Source: "a", Target: "b"}, {Source: "*", Target: "*"}}, config.CanonicalizePermittedCNAMEs)
	require.Equal(t, []string{"a:1", "[::1]:*"}, config.PermitRemoteOpen)
	require.Equal(t, []string{"a", "b"}, config.PreferredAuthentications)
}

// TestTwoPartValues checks keywords whose parts are fields of their own.
func TestTwoPartValues(t *testing.T) {
	config := load(t, "AddKeysToAgent confirm 5m\nControlPersist 10m\nForwardAgent /s\nTunnelDevice 1:any\nIPQoS ef 0\n", "host")
	require.Equal(t, [2]any{sshconfig.Mode("confirm"), "5m0s"}, [2]any{config.AddKeysToAgent, config.AddKeysToAgentLifetime.String()})
	require.Equal(t, [2]any{true, "10m0s"}, [2]any{config.ControlPersist, config.ControlPersistTimeout.String()})
	require.Equal(t, [2]any{true, "/s"}, [2]any{config.ForwardAgent, config.ForwardAgentPath})
	require.Equal(t, [2]int{1, -1}, config.TunnelDevice)
	require.Equal(t, [2]int{0xb8, 0}, config.IPQoS)
	config = load(t, "AddKeysToAgent 1h\nRekeyLimit default none\nControlPersist no\n", "host")
	require.Equal(t, [2]any{sshconfig.Yes, "1h0m0s"}, [2]any{config.AddKeysToAgent, config.AddKeysToAgentLifetime.String()})
	require.False(t, config.ControlPersist)
}
