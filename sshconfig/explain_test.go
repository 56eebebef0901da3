package sshconfig_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExplain checks the place of values of every kind.
func TestExplain(t *testing.T) {
	l := loader("Port 7\nIdentityFile /a\nHost x host\n  IdentityFile /b\n  UserKnownHostsFile /c /d\nPort 8\nSendEnv A B\nSendEnv -A\nSendEnv C\nRekeyLimit 1G 1h\nLocalForward 1 a:2\n")
	l.Options = []string{"BatchMode=yes"}
	config, err := l.Load(t.Context(), "eve@host")
	require.NoError(t, err)
	for keyword, want := range map[string]string{
		"Port": "port 7 (config line 1)", "BATCHMODE": "batchmode yes (command line)", "User": "user eve (command line)", "Compression": "compression no (default)",
		"IdentityFile": "identityfile /a (config line 2)|identityfile /b (config line 4)", "UserKnownHostsFile": "userknownhostsfile /c /d (config line 5)",
		"SendEnv": "sendenv B (config line 7)|sendenv C (config line 9)", "RekeyLimit": "rekeylimit 1073741824 3600 (config line 10)",
		"LocalForward": "localforward 1 [a]:2 (config line 11)", "Host": "", "ProxyCommand": "", "bogus": "",
	} {
		var got []string
		for _, s := range config.Explain(keyword) {
			got = append(got, s.String())
		}
		require.Equal(t, want, strings.Join(got, "|"))
	}
}

// TestReparse feeds the output to Load: the result is the same configuration.
func TestReparse(t *testing.T) {
	for _, text := range []string{"", "User eve\nPort 7\nEscapeChar none\nTunnelDevice 1:2\nRekeyLimit 1G 1h\nSetEnv A=b\nProxyJump a,b\nLocalForward 1 [::1]:2\n" +
		"CanonicalizePermittedCNAMEs none\nChannelTimeout a=1\nPermitRemoteOpen a:1\nControlPersist 5\nUserKnownHostsFile none\nIPQoS af21 cs1\n"} {
		first := load(t, text, "host").String()
		require.Equal(t, first, load(t, first, "host").String())
	}
}

// TestString checks the form of ssh -G, also after changes.
func TestString(t *testing.T) {
	config := load(t, "EscapeChar ^A\nStrictHostKeyChecking yes\nProxyJump a,u@b:1\nLocalForward 1 /s\n", "host")
	text := config.String()
	require.True(t, strings.HasPrefix(text, "host host\nuser bob\nhostname host\nport 22\naddressfamily any\n"))
	require.Contains(t, text, "\nescapechar \\^A\n")
	require.Contains(t, text, "\nstricthostkeychecking true\n")
	require.Contains(t, text, "\ndynamicforward 1\nlocalforward 1 /s\n")
	require.True(t, strings.HasSuffix(text, "\nsyslogfacility USER\nproxyjump a,u@b:1\n"))
	config.Port, config.IdentityFile = 99, []string{"/x", "/y"}
	require.Contains(t, config.String(), "\nport 99\n")
	require.Contains(t, config.String(), "\nidentityfile /x\nidentityfile /y\n")
	require.Len(t, config.Settings(), strings.Count(config.String(), "\n")-1, "ssh -G prints a forward to a socket twice")
}
