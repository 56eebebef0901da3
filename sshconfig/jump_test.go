package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProxyJump checks the hops, and the race between ProxyJump and ProxyCommand.
func TestProxyJump(t *testing.T) {
	config := load(t, "ProxyJump a,u@b:2,ssh://c%20d@e:3,[::1]\nProxyCommand never\n", "host")
	var hops []string
	for _, j := range config.ProxyJump {
		hops = append(hops, j.String())
	}
	require.Equal(t, []string{"a", "u@b:2", "c d@e:3", "[::1]"}, hops)
	require.Empty(t, config.ProxyCommand)
	require.Contains(t, config.String(), "\nproxyjump a,u@b:2,ssh://c%20d@e:3,[::1]\n")

	config = load(t, "ProxyCommand first\nProxyJump a\n", "host")
	require.Empty(t, config.ProxyJump)
	require.Equal(t, "first", config.ProxyCommand)
	config = load(t, "ProxyJump none\nProxyJump a\nProxyCommand x\n", "host")
	require.Empty(t, config.ProxyJump)
	require.Equal(t, "x", config.ProxyCommand, "since OpenSSH 10")
	for text, want := range map[string]string{
		"ProxyJump host": "is the destination", "ProxyJump bob@host:22": "is the destination", "ProxyJump a/b": "bad hop", "ProxyJump a,": "bad hop", "ProxyJump @a": "bad hop",
		"ProxyJump a:x": "bad hop", "ProxyJump [::1": "bad hop", "ProxyJump ssh://a/b": "bad hop", "ProxyJump #": "the argument is missing",
	} {
		if err := refuse(t, text, "host"); want != "the argument is missing" {
			require.ErrorContains(t, err, want)
		}
	}
}
