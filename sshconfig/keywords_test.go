package sshconfig_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// manual are the keywords of ssh_config(5) of OpenSSH 10.
const manual = `Host Match Include AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CanonicalDomains CanonicalizeFallbackLocal
	CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs CASignatureAlgorithms CertificateFile ChannelTimeout CheckHostIP Ciphers
	ClearAllForwardings Compression ConnectionAttempts ConnectTimeout ControlMaster ControlPath ControlPersist DynamicForward EnableEscapeCommandline
	EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout
	ForwardX11Trusted GatewayPorts GlobalKnownHostsFile GSSAPIAuthentication GSSAPIDelegateCredentials HashKnownHosts HostbasedAcceptedAlgorithms
	HostbasedAuthentication HostKeyAlgorithms HostKeyAlias Hostname IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown IPQoS
	KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose MACs
	NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming PasswordAuthentication PermitLocalCommand PermitRemoteOpen
	PKCS11Provider Port PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms PubkeyAuthentication
	RefuseConnection RekeyLimit RemoteCommand RemoteForward RequestTTY RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv
	ServerAliveCountMax ServerAliveInterval SessionType SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking
	SyslogFacility TCPKeepAlive Tag Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS VersionAddendum VisualHostKey
	WarnWeakCrypto XAuthLocation`

// TestManual goes through the keywords of the manual: all are known, and checked for arguments and quotes.
func TestManual(t *testing.T) {
	keywords := strings.Fields(manual)
	require.Len(t, keywords, 104)
	settings := make(map[string]bool)
	for _, s := range load(t, "User x", "host").Settings() {
		settings[s.Keyword] = true
	}
	for _, k := range keywords {
		require.ErrorContains(t, refuse(t, k, "host"), "the argument is missing")
		_, err := loader(k+" \"").Load(t.Context(), "host")
		require.ErrorContains(t, err, "a quote has no end", k)
	}
	for _, k := range strings.Fields("user port ciphers identityfile stricthostkeychecking rekeylimit connecttimeout") {
		require.True(t, settings[k], k)
	}
}

// TestNewKeywords checks keywords without an oracle: Debian's ssh is older.
func TestNewKeywords(t *testing.T) {
	config := load(t, "WarnWeakCrypto no-pq-kex\nObscureKeystrokeTiming interval:80\nChannelTimeout session=5m direct-*=1h30m\nTag blue\n"+
		"VersionAddendum My %h text # comment\nRevokedHostKeys /a \"/b c\"\nHost other\nRefuseConnection never\n", "host")
	require.False(t, config.WarnWeakCrypto)
	require.Equal(t, 80*time.Millisecond, config.ObscureKeystrokeTiming)
	require.Equal(t, []sshconfig.ChannelTimeout{{Type: "session", Timeout: 5 * time.Minute}, {Type: "direct-*", Timeout: 90 * time.Minute}}, config.ChannelTimeout)
	require.Equal(t, "blue", config.Tag)
	require.Equal(t, "My host text", config.VersionAddendum)
	require.Equal(t, []string{"/a", "/b c"}, config.RevokedHostKeys)
	for text, want := range map[string]string{
		"obscurekeystroketiming": "interval:80 80,no no,yes yes,interval:20 yes,false no", "channeltimeout": "none none,*=1m *=60",
		"revokedhostkeys": "none none,/a /a", "warnweakcrypto": "yes yes,false no",
	} {
		for pair := range strings.SplitSeq(want, ",") {
			value, shown, _ := strings.Cut(pair, " ")
			require.Contains(t, load(t, text+" "+value, "host").String(), text+" "+shown+"\n")
		}
	}
	for text, want := range map[string]string{
		"WarnWeakCrypto maybe": "not one of the choices", "ObscureKeystrokeTiming interval:0": "out of range", "ObscureKeystrokeTiming interval:1001": "out of range",
		"ObscureKeystrokeTiming x": "not one of the choices", "ObscureKeystrokeTiming yes no": "extra arguments", "ChannelTimeout session": "of the form type=time",
		"ChannelTimeout =5": "of the form type=time", "ChannelTimeout a=x": "is not a time", "ChannelTimeout none a=1": "must be the only argument",
		"RefuseConnection \"not here\"": `RefuseConnection: "not here"`, "VersionAddendum a\rb": "carriage return", "RevokedHostKeys none /a": "must be the only argument",
		"RevokedHostKeys \"\"": "an argument is empty", "CASignatureAlgorithms ssh-rsa-cert-v01@openssh.com": "is not known", "ConnectTimeout 1.s": "is not a time",
	} {
		require.ErrorContains(t, refuse(t, text, "host"), want)
	}
	require.Equal(t, time.Second, load(t, "ConnectTimeout 1.9s", "host").ConnectTimeout)
}

// TestAliases checks old names of keywords.
func TestAliases(t *testing.T) {
	config := load(t, "ChallengeResponseAuthentication no\nKeepAlive no\nDSAAuthentication no\nIdentityFile2 /a\nSmartcardDevice /b\n", "host")
	require.False(t, config.KbdInteractiveAuthentication)
	require.False(t, config.TCPKeepAlive)
	require.Equal(t, sshconfig.No, config.PubkeyAuthentication)
	require.Equal(t, []string{"/a"}, config.IdentityFile)
	require.Equal(t, "/b", config.PKCS11Provider)
	require.Equal(t, 2, config.Explain("keepalive")[0].Line)
}
