package sshconfig_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestTypes checks fields of every type.
func TestTypes(t *testing.T) {
	config := load(t, "BatchMode true\nStrictHostKeyChecking off\nControlMaster AUTO\nTunnel yes\nConnectTimeout 1h30m\nServerAliveInterval none\n"+
		"RekeyLimit 1.5G\nRekeyLimit 16 1h\n", "host")
	require.True(t, config.BatchMode)
	require.Equal(t, sshconfig.No, config.StrictHostKeyChecking)
	require.Equal(t, sshconfig.Auto, config.ControlMaster)
	require.Equal(t, sshconfig.Mode("point-to-point"), config.Tunnel)
	require.Equal(t, 90*time.Minute, config.ConnectTimeout)
	require.Zero(t, config.ServerAliveInterval)
	require.EqualValues(t, 3<<29, config.RekeyLimit)
}

// TestTimeOfNone checks a time of none, where a later line wins, as for OpenSSH.
func TestTimeOfNone(t *testing.T) {
	require.Equal(t, 5*time.Second, load(t, "ConnectTimeout none\nConnectTimeout 5\n", "host").ConnectTimeout)
	require.Negative(t, load(t, "ConnectTimeout none\n", "host").ConnectTimeout)
}

// TestSlipsOfOpenSSH checks the keywords with rules of their own in OpenSSH: the block does not matter, or the last wins.
func TestSlipsOfOpenSSH(t *testing.T) {
	config := load(t, "Host other\nSyslogFacility LOCAL1\nStreamLocalBindMask 0\nHost *\nSyslogFacility LOCAL2\nStreamLocalBindMask 022\n", "host")
	require.Equal(t, sshconfig.Mode("LOCAL1"), config.SyslogFacility)
	require.EqualValues(t, 0o022, config.StreamLocalBindMask)
	require.Equal(t, 6, config.Explain("StreamLocalBindMask")[0].Line)
}
