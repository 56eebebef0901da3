package sshconfig

import (
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// keyword is a keyword of ssh_config.
type keyword struct {
	name string // as the manual spells it
	// read checks the arguments of a line, and sets the field when the block matches and no line before did.
	read func(l *line) error
	// show returns the values as ssh -G prints them, a line for each. Nil is for keywords without a value.
	show func(c *Config) []string
}

// keywords are all keywords with a value, in the order of ssh -G.
var keywords = []*keyword{
	text("User", func(c *Config) *string { return &c.User }),
	text("HostName", func(c *Config) *string { return &c.HostName }),
	one("Port", func(c *Config) *int { return &c.Port }, readPort, syntax.Number),
	mode("AddressFamily", func(c *Config) *Mode { return &c.AddressFamily }, "any inet inet6"),
	flag("BatchMode", func(c *Config) *bool { return &c.BatchMode }),
	flag("CanonicalizeFallbackLocal", func(c *Config) *bool { return &c.CanonicalizeFallbackLocal }),
	mode("CanonicalizeHostname", func(c *Config) *Mode { return &c.CanonicalizeHostname }, "true false always"),
	flag("CheckHostIP", func(c *Config) *bool { return &c.CheckHostIP }),
	one("Compression", func(c *Config) *bool { return &c.Compression }, readCompression, syntax.YesNo),
	mode("ControlMaster", func(c *Config) *Mode { return &c.ControlMaster }, "true false auto ask autoask"),
	flag("EnableSSHKeysign", func(c *Config) *bool { return &c.EnableSSHKeysign }),
	flag("ClearAllForwardings", func(c *Config) *bool { return &c.ClearAllForwardings }),
	flag("ExitOnForwardFailure", func(c *Config) *bool { return &c.ExitOnForwardFailure }),
	one("FingerprintHash", func(c *Config) *string { return &c.FingerprintHash }, readHash, syntax.Optional),
	flag("ForwardX11", func(c *Config) *bool { return &c.ForwardX11 }),
	flag("ForwardX11Trusted", func(c *Config) *bool { return &c.ForwardX11Trusted }),
	flag("GatewayPorts", func(c *Config) *bool { return &c.GatewayPorts }),
	flag("GSSAPIAuthentication", func(c *Config) *bool { return &c.GSSAPIAuthentication }),
	flag("GSSAPIDelegateCredentials", func(c *Config) *bool { return &c.GSSAPIDelegateCredentials }),
	flag("HashKnownHosts", func(c *Config) *bool { return &c.HashKnownHosts }),
	flag("HostbasedAuthentication", func(c *Config) *bool { return &c.HostbasedAuthentication }),
	flag("IdentitiesOnly", func(c *Config) *bool { return &c.IdentitiesOnly }),
	flag("KbdInteractiveAuthentication", func(c *Config) *bool { return &c.KbdInteractiveAuthentication }),
	flag("NoHostAuthenticationForLocalhost", func(c *Config) *bool { return &c.NoHostAuthenticationForLocalhost }),
	flag("PasswordAuthentication", func(c *Config) *bool { return &c.PasswordAuthentication }),
	flag("PermitLocalCommand", func(c *Config) *bool { return &c.PermitLocalCommand }),
	flag("ProxyUseFdpass", func(c *Config) *bool { return &c.ProxyUseFdpass }),
	mode("PubkeyAuthentication", func(c *Config) *Mode { return &c.PubkeyAuthentication }, "true false unbound host-bound"),
	mode("RequestTTY", func(c *Config) *Mode { return &c.RequestTTY }, "true false force auto"),
	mode("SessionType", func(c *Config) *Mode { return &c.SessionType }, "none subsystem default"),
	flag("StdinNull", func(c *Config) *bool { return &c.StdinNull }),
	flag("ForkAfterAuthentication", func(c *Config) *bool { return &c.ForkAfterAuthentication }),
	flag("StreamLocalBindUnlink", func(c *Config) *bool { return &c.StreamLocalBindUnlink }),
	mode("StrictHostKeyChecking", func(c *Config) *Mode { return &c.StrictHostKeyChecking }, "true false ask off accept-new"),
	flag("TCPKeepAlive", func(c *Config) *bool { return &c.TCPKeepAlive }),
	one("Tunnel", func(c *Config) *Mode { return &c.Tunnel }, readTunnel, showTunnelMode),
	mode("VerifyHostKeyDNS", func(c *Config) *Mode { return &c.VerifyHostKeyDNS }, "true false ask"),
	flag("VisualHostKey", func(c *Config) *bool { return &c.VisualHostKey }),
	mode("UpdateHostKeys", func(c *Config) *Mode { return &c.UpdateHostKeys }, "true false ask"),
	flag("EnableEscapeCommandline", func(c *Config) *bool { return &c.EnableEscapeCommandline }),
	one("WarnWeakCrypto", func(c *Config) *bool { return &c.WarnWeakCrypto }, readWarnWeak, syntax.YesNo),

	integer("CanonicalizeMaxDots", func(c *Config) *int { return &c.CanonicalizeMaxDots }),
	integer("ConnectionAttempts", func(c *Config) *int { return &c.ConnectionAttempts }),
	one("ForwardX11Timeout", func(c *Config) *duration { return &c.ForwardX11Timeout }, readTime, syntax.Seconds),
	integer("NumberOfPasswordPrompts", func(c *Config) *int { return &c.NumberOfPasswordPrompts }),
	integer("ServerAliveCountMax", func(c *Config) *int { return &c.ServerAliveCountMax }),
	one("ServerAliveInterval", func(c *Config) *duration { return &c.ServerAliveInterval }, readTime, syntax.Seconds),
	integer("RequiredRSASize", func(c *Config) *int { return &c.RequiredRSASize }),
	one("ObscureKeystrokeTiming", func(c *Config) *duration { return &c.ObscureKeystrokeTiming }, readKeystroke, showKeystroke),

	text("BindAddress", func(c *Config) *string { return &c.BindAddress }),
	text("BindInterface", func(c *Config) *string { return &c.BindInterface }),
	one("Ciphers", func(c *Config) *[]string { return &c.Ciphers }, readAlgorithms, syntax.Commas),
	text("ControlPath", func(c *Config) *string { return &c.ControlPath }),
	one("HostKeyAlgorithms", func(c *Config) *[]string { return &c.HostKeyAlgorithms }, readAlgorithms, syntax.Commas),
	text("HostKeyAlias", func(c *Config) *string { return &c.HostKeyAlias }),
	one("HostbasedAcceptedAlgorithms", func(c *Config) *[]string { return &c.HostbasedAcceptedAlgorithms }, readAlgorithms, syntax.Commas),
	one("IdentityAgent", func(c *Config) *string { return &c.IdentityAgent }, readAgent, syntax.Optional),
	one("IgnoreUnknown", func(c *Config) *[]string { return &c.IgnoreUnknown }, readCommas, syntax.OptionalCommas),
	one("KbdInteractiveDevices", func(c *Config) *[]string { return &c.KbdInteractiveDevices }, readCommas, syntax.OptionalCommas),
	one("KexAlgorithms", func(c *Config) *[]string { return &c.KexAlgorithms }, readAlgorithms, syntax.Commas),
	one("CASignatureAlgorithms", func(c *Config) *[]string { return &c.CASignatureAlgorithms }, readAlgorithms, syntax.Commas),
	one("LocalCommand", func(c *Config) *string { return &c.LocalCommand }, readCommand, syntax.Optional),
	one("RemoteCommand", func(c *Config) *string { return &c.RemoteCommand }, readCommand, syntax.Optional),
	one("LogLevel", func(c *Config) *Mode { return &c.LogLevel }, readLogLevel, modeText),
	one("MACs", func(c *Config) *[]string { return &c.MACs }, readAlgorithms, syntax.Commas),
	text("PKCS11Provider", func(c *Config) *string { return &c.PKCS11Provider }),
	text("SecurityKeyProvider", func(c *Config) *string { return &c.SecurityKeyProvider }),
	one("PreferredAuthentications", func(c *Config) *[]string { return &c.PreferredAuthentications }, readCommas, syntax.OptionalCommas),
	one("PubkeyAcceptedAlgorithms", func(c *Config) *[]string { return &c.PubkeyAcceptedAlgorithms }, readAlgorithms, syntax.Commas),
	text("XAuthLocation", func(c *Config) *string { return &c.XAuthLocation }),
	one("KnownHostsCommand", func(c *Config) *string { return &c.KnownHostsCommand }, readCommand, syntax.Optional),
	text("Tag", func(c *Config) *string { return &c.Tag }),
	one("VersionAddendum", func(c *Config) *string { return &c.VersionAddendum }, readAddendum, syntax.Optional),

	{"DynamicForward", readForward(func(c *Config) *[]Forward { return &c.DynamicForward }, true, false),
		func(c *Config) []string { return showForwards(c.DynamicForward) }},
	{"LocalForward", readForward(func(c *Config) *[]Forward { return &c.LocalForward }, false, false),
		func(c *Config) []string { return showForwards(c.LocalForward) }},
	{"RemoteForward", readForward(func(c *Config) *[]Forward { return &c.RemoteForward }, false, true),
		func(c *Config) []string { return showForwards(c.RemoteForward) }},

	{"IdentityFile", readFiles(func(c *Config) *[]string { return &c.IdentityFile }), func(c *Config) []string { return c.IdentityFile }},
	one("CanonicalDomains", func(c *Config) *[]string { return &c.CanonicalDomains }, readDomains, syntax.BlanksOrNone),
	{"CertificateFile", readFiles(func(c *Config) *[]string { return &c.CertificateFile }), func(c *Config) []string { return c.CertificateFile }},
	one("GlobalKnownHostsFile", func(c *Config) *[]string { return &c.GlobalKnownHostsFile }, readHostFiles, syntax.BlanksOrNone),
	one("UserKnownHostsFile", func(c *Config) *[]string { return &c.UserKnownHostsFile }, readHostFiles, syntax.BlanksOrNone),
	one("RevokedHostKeys", func(c *Config) *[]string { return &c.RevokedHostKeys }, readNames, syntax.BlanksOrNone),
	{"SendEnv", readSendEnv, func(c *Config) []string { return c.SendEnv }},
	one("SetEnv", func(c *Config) *[]string { return &c.SetEnv }, readSetEnv, func(list []string) []string { return list }),
	one("LogVerbose", func(c *Config) *[]string { return &c.LogVerbose }, readLogVerbose, syntax.BlanksOrNone),
	one("ChannelTimeout", func(c *Config) *[]ChannelTimeout { return &c.ChannelTimeout }, readChannels, showChannels),

	one("PermitRemoteOpen", func(c *Config) *[]string { return &c.PermitRemoteOpen }, readPermit, showPermit),
	{"AddKeysToAgent", readAddKeys, showAddKeys},
	{"ForwardAgent", readForwardAgent, showForwardAgent},
	one("ConnectTimeout", func(c *Config) *duration { return &c.ConnectTimeout }, readTime, syntax.SecondsOrNone),
	one("TunnelDevice", func(c *Config) *[2]int { return &c.TunnelDevice }, readTunnelDevice, showTunnelDevice),
	one("CanonicalizePermittedCNAMEs", func(c *Config) *[]CNAMERule { return &c.CanonicalizePermittedCNAMEs }, readCNAMEs, showCNAMEs),
	{"ControlPersist", readPersist, showPersist},
	one("EscapeChar", func(c *Config) *int { return &c.EscapeChar }, readEscape, showEscape),
	one("IPQoS", func(c *Config) *[2]int { return &c.IPQoS }, readIPQoS, showIPQoS),
	{"RekeyLimit", readRekey, showRekey},
	{"StreamLocalBindMask", readMask, showMask},
	{"SyslogFacility", readFacility, func(c *Config) []string { return modeText(c.SyslogFacility) }},
	{"ProxyCommand", readProxy, showProxy},
	{"ProxyJump", readJump, showJumps},
}

// structure are the keywords without a value.
var structure = []*keyword{
	{"Host", readHost, nil},
	{"Match", readMatch, nil},
	{"Include", (*line).include, nil},
	{"RefuseConnection", readRefuse, nil},
}

// aliases are other names of keywords.
var aliases = map[string]string{
	"challengeresponseauthentication": "kbdinteractiveauthentication",
	"dsaauthentication":               "pubkeyauthentication",
	"hostbasedkeytypes":               "hostbasedacceptedalgorithms",
	"identityfile2":                   "identityfile",
	"keepalive":                       "tcpkeepalive",
	"pubkeyacceptedkeytypes":          "pubkeyacceptedalgorithms",
	"skeyauthentication":              "kbdinteractiveauthentication",
	"smartcarddevice":                 "pkcs11provider",
	"tisauthentication":               "kbdinteractiveauthentication",
}

// obsolete are keywords that OpenSSH reads and ignores, and keywords that only the ssh of an operating system knows. The
// latter spare their users an IgnoreUnknown.
const obsolete = `protocol cipher fallbacktorsh globalknownhostsfile2 rhostsauthentication userknownhostsfile2 useroaming usersh
	useprivilegedport afstokenpassing kerberosauthentication kerberostgtpassing rsaauthentication rhostsrsaauthentication
	compressionlevel
	gssapikeyexchange gssapiclientidentity gssapiserveridentity gssapirenewalforcesrekey gssapitrustdns gssapikexalgorithms
	protocolkeepalives setuptimeout usekeychain`

// keywordByName finds a keyword by its name in lower case.
var keywordByName = make(map[string]*keyword)

// init fills the map after the tables, whose functions use the map.
func init() {
	for _, list := range [][]*keyword{keywords, structure} {
		for _, k := range list {
			keywordByName[syntax.Lower(k.name)] = k
		}
	}
	for alias, name := range aliases {
		keywordByName[alias] = keywordByName[name]
	}
	for _, name := range strings.Fields(obsolete) {
		keywordByName[name] = &keyword{name, func(l *line) error {
			if l.active {
				l.ignore(name)
			}
			l.args = nil
			return nil
		}, nil}
	}
}

// one is a keyword whose first value wins.
func one[T any](name string, field func(*Config) *T, read func(*line) (T, error), show func(T) []string) *keyword {
	return &keyword{name, func(l *line) error {
		value, err := read(l)
		if err != nil {
			return err
		}
		if l.active && l.claim(syntax.Lower(name), l.place()) {
			*field(l.config) = value
		}
		return nil
	}, func(c *Config) []string { return show(*field(c)) }}
}

// flag is a keyword for yes and no.
func flag(name string, field func(*Config) *bool) *keyword {
	return one(name, field, readFlag, syntax.YesNo)
}

// text is a keyword for a text without blanks, or in quotes.
func text(name string, field func(*Config) *string) *keyword {
	return one(name, field, (*line).arg, syntax.Optional)
}

// integer is a keyword for a number from 0.
func integer(name string, field func(*Config) *int) *keyword {
	return one(name, field, readInt, syntax.Number)
}

// mode is a keyword with a choice of words. In ssh -G, yes and no are true and false where words has those.
func mode(name string, field func(*Config) *Mode, words string) *keyword {
	choices := strings.Fields(words)
	return one(name, field, func(l *line) (Mode, error) { return readMode(l, choices) }, func(m Mode) []string {
		return []string{showMode(m, choices)}
	})
}
