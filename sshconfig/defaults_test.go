package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestUpdateHostKeys checks the default, where other keywords decide.
func TestUpdateHostKeys(t *testing.T) {
	for text, want := range map[string]sshconfig.Mode{
		"": sshconfig.Yes, "UserKnownHostsFile /a": sshconfig.No, "UserKnownHostsFile ~/.ssh/known_hosts": sshconfig.Yes, "VerifyHostKeyDNS ask": sshconfig.No,
		"UpdateHostKeys ask": sshconfig.Ask, "UpdateHostKeys ask\nRequestTTY no": sshconfig.No, "UpdateHostKeys ask\nRemoteCommand x": sshconfig.No,
		"UpdateHostKeys ask\nLogLevel ERROR": sshconfig.No, "UpdateHostKeys ask\nControlPersist yes\nControlPath /x": sshconfig.No,
		"UserKnownHostsFile none": sshconfig.No,
	} {
		require.Equal(t, want, load(t, text, "host").UpdateHostKeys, text)
	}
}

// TestStdioForward checks the defaults for a connection to nothing but a port.
func TestStdioForward(t *testing.T) {
	for text, want := range map[string][2]bool{"": {true, true}, "ExitOnForwardFailure no\nClearAllForwardings no": {false, false}} {
		l := loader(text)
		l.StdioForward = true
		config, err := l.Load(t.Context(), "host")
		require.NoError(t, err)
		require.Equal(t, want, [2]bool{config.ExitOnForwardFailure, config.ClearAllForwardings})
	}
}

// TestNone checks the keywords with a value of none.
func TestNone(t *testing.T) {
	config := load(t, "LocalCommand none\nRemoteCommand NONE\nProxyCommand none\nControlPath none\nPKCS11Provider none\nSecurityKeyProvider none\nKnownHostsCommand none\n"+
		"RevokedHostKeys none\nUserKnownHostsFile none\n", "host")
	require.Empty(t, config.LocalCommand+config.RemoteCommand+config.ProxyCommand+config.ControlPath+config.PKCS11Provider+config.SecurityKeyProvider+config.KnownHostsCommand)
	require.Empty(t, config.RevokedHostKeys)
	require.Empty(t, config.UserKnownHostsFile)
}

// TestContradictions checks values in contradiction.
func TestContradictions(t *testing.T) {
	require.ErrorContains(t, refuse(t, "ConnectionAttempts 0", "host"), "0 attempts never connect")
	require.ErrorContains(t, refuse(t, "ProxyCommand -\nProxyUseFdpass yes", "host"), "does not go with ProxyCommand -")
	l := loader("RemoteCommand x")
	l.Command = "ls"
	_, err := l.Load(t.Context(), "host")
	require.ErrorContains(t, err, "config line 1: RemoteCommand: the Loader has a command, too")
	require.False(t, load(t, "ProxyJump a\nProxyUseFdpass yes", "host").ProxyUseFdpass)
}
