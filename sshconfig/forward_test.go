package sshconfig_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestForwards checks the forms of forwards.
func TestForwards(t *testing.T) {
	config := load(t, "LocalForward 8080 web:80\nLocalForward :81 [::1]:80\nLocalForward /l /r\nLocalForward *:82 /r\nLocalForward 8080 web:80\nRemoteForward 0 a:1\n"+
		"RemoteForward 1080\nRemoteForward /s\nDynamicForward [::1]:1081\n", "host")
	require.Equal(t, []string{"8080 [web]:80", "[]:81 [::1]:80", "/l /r", "[*]:82 /r"}, shown(config.LocalForward))
	require.Equal(t, "*", config.LocalForward[1].ListenHost)
	require.Equal(t, []string{"0 [a]:1", "1080", "/s"}, shown(config.RemoteForward))
	require.False(t, config.RemoteForward[0].IsDynamic())
	require.True(t, config.RemoteForward[1].IsDynamic())
	require.Equal(t, "::1", config.DynamicForward[0].ListenHost)
	require.Contains(t, config.String(), "\nremoteforward 1080 [socks]:0\n")
	require.Empty(t, load(t, "ClearAllForwardings yes\nLocalForward 1 a:2", "host").LocalForward)
	for _, text := range []string{"LocalForward 1", "LocalForward 0 a:1", "LocalForward x a:1", "LocalForward 1 a", "LocalForward 1 a:0", "LocalForward 1 a:2:3:4",
		"LocalForward [::1 a:1", "LocalForward 1 a\\", "LocalForward 1 /" + strings.Repeat("x", 120), "LocalForward 1 " + strings.Repeat("x", 300) + ":1", "DynamicForward a:b:c",
		"DynamicForward a:1:/p", "LocalForward 1 ${NOT_SET}:1", "LocalForward 1 ${", "RemoteForward 1 a:x"} {
		require.ErrorContains(t, refuse(t, text, "host"), "orward", text)
	}
}

func shown(list []sshconfig.Forward) []string {
	var texts []string
	for _, f := range list {
		texts = append(texts, f.String())
	}
	return texts
}
