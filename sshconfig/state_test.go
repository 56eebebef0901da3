package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestMachine checks the defaults from the machine.
func TestMachine(t *testing.T) {
	config, err := (&sshconfig.Loader{Files: []sshconfig.File{}}).Load(t.Context(), "host")
	require.NoError(t, err)
	require.NotEmpty(t, config.User)
	require.Equal(t, []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}, config.GlobalKnownHostsFile)
	require.True(t, sshconfig.UserFile().Private)
	require.True(t, sshconfig.SystemFile().System)
}
