package sshconfig

import (
	"errors"
	"strings"
	"time"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// defaultKeystroke is the interval for ObscureKeystrokeTiming yes.
const defaultKeystroke = 20 * time.Millisecond

// setDefaults gives a Config OpenSSH's defaults. The method finish works out the rest.
func setDefaults(c *Config) {
	c.fromSystem = make(map[string][]bool)
	c.Port, c.AddressFamily, c.ConnectTimeout, c.ConnectionAttempts = 22, "any", -1, 1
	c.IPQoS, c.TCPKeepAlive = [2]int{0xb8, 0}, true // ef and cs0
	c.CanonicalizeFallbackLocal, c.CanonicalizeHostname, c.CanonicalizeMaxDots = true, No, 1
	c.ServerAliveCountMax, c.WarnWeakCrypto = 3, true
	c.StrictHostKeyChecking, c.VerifyHostKeyDNS, c.FingerprintHash, c.RequiredRSASize = Ask, No, "SHA256", 1024
	c.NumberOfPasswordPrompts, c.AddKeysToAgent = 3, No
	c.PubkeyAuthentication, c.PasswordAuthentication, c.KbdInteractiveAuthentication = Yes, true, true
	c.SecurityKeyProvider, c.XAuthLocation = "internal", "/usr/bin/xauth"
	c.RequestTTY, c.SessionType, c.EscapeChar = Auto, "default", '~'
	c.ObscureKeystrokeTiming, c.ForwardX11Timeout = defaultKeystroke, 20*time.Minute
	c.ControlMaster, c.Tunnel, c.TunnelDevice = No, No, [2]int{-1, -1}
	c.LogLevel, c.SyslogFacility, c.StreamLocalBindMask = "INFO", "USER", 0o177
}

// finish works out values after the last file: values of none, lists with modifiers, defaults of lists, and tokens.
func (s *state) finish() error {
	c := s.config
	for _, field := range []*string{&c.LocalCommand, &c.RemoteCommand, &c.ProxyCommand, &c.ControlPath, &c.PKCS11Provider,
		&c.SecurityKeyProvider, &c.KnownHostsCommand} {
		if strings.EqualFold(*field, "none") {
			*field = ""
		}
	}
	for _, list := range []*[]string{&c.RevokedHostKeys, &c.GlobalKnownHostsFile, &c.UserKnownHostsFile} {
		if len(*list) == 1 && strings.EqualFold((*list)[0], "none") {
			*list = nil
		}
	}
	// The keyword is for an option that wins over forwards in files.
	if c.ClearAllForwardings {
		c.LocalForward, c.RemoteForward, c.DynamicForward, c.Tunnel = nil, nil, nil, No
	}
	for name, field := range map[string]*[]string{
		"Ciphers": &c.Ciphers, "MACs": &c.MACs, "KexAlgorithms": &c.KexAlgorithms, "HostKeyAlgorithms": &c.HostKeyAlgorithms,
		"CASignatureAlgorithms": &c.CASignatureAlgorithms, "PubkeyAcceptedAlgorithms": &c.PubkeyAcceptedAlgorithms,
		"HostbasedAcceptedAlgorithms": &c.HostbasedAcceptedAlgorithms,
	} {
		list, err := s.assemble(name, *field)
		if err != nil {
			return s.failAt(syntax.Lower(name), 0, err)
		}
		*field = list
	}
	// UpdateHostKeys looks at the files before the defaults are in.
	s.defaultFiles()
	if c.User == "" {
		c.User = s.local.User
	}
	c.HostKeyAlias = syntax.Lower(c.HostKeyAlias)
	s.updateHostKeys()
	if err := s.check(); err != nil {
		return err
	}
	return s.expandValues()
}

// defaultFiles fills the lists of files without a line, and UpdateHostKeys, whose default depends on the lists.
func (s *state) defaultFiles() {
	c := s.config
	if c.UpdateHostKeys == "" {
		c.UpdateHostKeys = No
		first := append(c.UserKnownHostsFile, "")[0]
		if c.VerifyHostKeyDNS == No && (!s.isSet("userknownhostsfile") || len(c.UserKnownHostsFile) == 1 && first == "~/.ssh/known_hosts") {
			c.UpdateHostKeys = Yes
		}
	}
	if c.IdentityFile == nil {
		for _, key := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "mldsa44_ed25519"} {
			c.IdentityFile = append(c.IdentityFile, "~/.ssh/id_"+key)
		}
	}
	if !s.isSet("globalknownhostsfile") {
		c.GlobalKnownHostsFile = []string{system.ConfigDir() + "/ssh_known_hosts", system.ConfigDir() + "/ssh_known_hosts2"}
	}
	if !s.isSet("userknownhostsfile") {
		c.UserKnownHostsFile = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
}

// updateHostKeys turns off questions about new host keys where OpenSSH has no terminal for them.
func (s *state) updateHostKeys() {
	c := s.config
	quiet := c.LogLevel == "QUIET" || c.LogLevel == "FATAL" || c.LogLevel == "ERROR"
	if c.UpdateHostKeys == Ask && (c.ControlPersist && c.ControlPath != "" || s.Command != "" || c.RemoteCommand != "" ||
		c.RequestTTY == No || quiet) {
		c.UpdateHostKeys = No
	}
}

// check refuses values in contradiction.
func (s *state) check() error {
	c := s.config
	if n := len(c.ProxyJump); n > 0 {
		c.ProxyUseFdpass = false
		last := c.ProxyJump[n-1]
		// A hop without user and port has those of the destination.
		sameUser := last.User == "" || last.User == c.User
		if last.Host == s.host && sameUser && (last.Port == c.Port || last.Port == 0 && c.Port == 22) {
			return s.failAt("proxyjump", 0, errors.New("hop "+syntax.Quote(last.Host)+" is the destination"))
		}
	}
	if c.ConnectionAttempts == 0 {
		return s.failAt("connectionattempts", 0, errors.New("0 attempts never connect"))
	}
	if s.Command != "" && c.RemoteCommand != "" {
		return s.failAt("remotecommand", 0, errors.New("the Loader has a command, too"))
	}
	if c.ProxyCommand == "-" && c.ProxyUseFdpass {
		return s.failAt("proxyusefdpass", 0, errors.New("the value does not go with ProxyCommand -"))
	}
	return nil
}
