package syntax_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestTimes checks the forms of times.
func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "90": 90 * time.Second, "1h30m": 90 * time.Minute, "1w2D3H4M5S": 788645 * time.Second, "1.9": time.Second, "1m2": 62 * time.Second} {
		d, err := syntax.ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d, text)
	}
	for _, bad := range []string{"", "m", "1x", "-1", "+1", "1.5m", "1.", "1s1s", "1 s", "1e3", "99999999999", ".", "1..2", "0x1"} {
		_, err := syntax.ParseTime(bad)
		require.Error(t, err, bad)
	}
}

// TestSizes checks the forms of sizes.
func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"16": 16, "1K": 1024, "1m": 1 << 20, "1.5G": 3 << 29, "-1k": -1024, "+2B": 2, ".5k": 512, "7E": 7 << 60, "1.9": 1, "G": 0} {
		n, err := syntax.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n, text)
	}
	for _, bad := range []string{"x", "1X", "1GB", "8E", "1..2", "1.2.3", "99999999999999999999999", "--1", "+-1"} {
		_, err := syntax.ParseSize(bad)
		require.Error(t, err, bad)
	}
}

// TestNumbers checks numbers, ports, masks and devices.
func TestNumbers(t *testing.T) {
	n, err := syntax.ParseNumber(" +7", 0, 10)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	for _, bad := range []string{"", "11", "-1", "0x1", "7 ", "1_0", "99999999999999999999"} {
		_, err := syntax.ParseNumber(bad, 0, 10)
		require.Error(t, err, bad)
	}
	port, err := syntax.ParsePort("ssh")
	require.NoError(t, err)
	require.Equal(t, 22, port)
	for _, bad := range []string{"", "65536", "-1", "no-such-service", "+", "1-2"} {
		_, err := syntax.ParsePort(bad)
		require.Error(t, err, bad)
	}
	mask, err := syntax.ParseMask("0177x")
	require.NoError(t, err)
	require.EqualValues(t, 0o177, mask)
	_, err = syntax.ParseMask("1000")
	require.Error(t, err)
	device, err := syntax.ParseTunnel("ANY")
	require.NoError(t, err)
	require.Equal(t, "any", syntax.ShowTunnel(device))
	require.Equal(t, "3", syntax.ShowTunnel(3))
}

// TestQoS checks that the names of IPQoS go both ways.
func TestQoS(t *testing.T) {
	for text, want := range map[string]string{"EF": "ef", "184": "ef", "none": "none", "lowdelay": "none", "1": "0x01", "0": "cs0"} {
		value, err := syntax.ParseQoS(text)
		require.NoError(t, err, text)
		require.Equal(t, want, syntax.ShowQoS(value), text)
	}
	_, err := syntax.ParseQoS("256")
	require.Error(t, err)
}

// TestNames checks domains, variables and characters.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{"a.example.": "a.example", "_x": "_x", "1-2": "1-2"} {
		got, err := syntax.ParseDomain(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "-a", ".a", "a..b", "a b", "a/b", "é"} {
		_, err := syntax.ParseDomain(bad)
		require.Error(t, err, bad)
	}
	require.True(t, syntax.IsVariable("A_1"))
	require.False(t, syntax.IsVariable(""))
	require.False(t, syntax.IsVariable("A-1"))
	for char, want := range map[byte]string{'~': "~", 1: `\^A`, 0x7f: `\^?`, ' ': `\040`, '\\': `\\`, 0xe1: `\M-a`, 0x81: `\M^A`} {
		require.Equal(t, want, syntax.ShowChar(char))
	}
}
