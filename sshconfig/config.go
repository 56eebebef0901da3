package sshconfig

import "time"

// Mode is a value with more choices than yes and no, spelled as in ssh_config: "ask", "accept-new", "auto". The words true
// and false of a file become Yes and No.
type Mode string

// Modes of most keywords. The others are constants of the file format, listed with their fields.
const (
	Yes  Mode = "yes"
	No   Mode = "no"
	Ask  Mode = "ask"
	Auto Mode = "auto"
)

// Config is the configuration for a host: a field for each keyword, with OpenSSH's default where no file has a value. Values
// may be changed; String shows the changes.
//
// The fields hold what ssh -G prints, so most paths and commands have their tokens replaced. CertificateFile, IdentityFile,
// KnownHostsCommand, LocalCommand, ProxyCommand and SecurityKeyProvider are as written: Expand replaces theirs.
type Config struct {
	Host string // the host of the destination

	// Where to connect, and from where.
	HostName           string        // the host to connect to: canonical, and in lower case
	Port               int           // 22 by default
	User               string        // the local user by default
	AddressFamily      Mode          // "any", "inet" or "inet6"
	BindAddress        string        // the local address; empty for any
	BindInterface      string        // the network interface; empty for any
	ConnectTimeout     time.Duration // negative for none
	ConnectionAttempts int           // at least 1
	ProxyCommand       string        // a command for the shell, as written; empty with a ProxyJump
	ProxyJump          []Jump        // in the order of the hops
	ProxyUseFdpass     bool          // the proxy passes a connected socket
	IPQoS              [2]int        // for interactive sessions and for others; -1 leaves the system's
	TCPKeepAlive       bool          // SO_KEEPALIVE

	// Canonical host names. Load has applied them.
	CanonicalDomains            []string    // without dots at their ends
	CanonicalizeFallbackLocal   bool        // a host in no domain stays as written
	CanonicalizeHostname        Mode        // No, Yes or "always"
	CanonicalizeMaxDots         int         // hosts with more dots stay as written
	CanonicalizePermittedCNAMEs []CNAMERule // no rule for none

	// The transport.
	Ciphers             []string // in the order of preference, with the modifier applied
	MACs                []string
	KexAlgorithms       []string
	Compression         bool          // after authentication
	RekeyLimit          int64         // bytes; 0 for the cipher's own limit
	RekeyInterval       time.Duration // the second value of RekeyLimit; 0 for none
	ServerAliveInterval time.Duration // 0 for no signs of life
	ServerAliveCountMax int           // unanswered questions until the end
	WarnWeakCrypto      bool          // a warning for a key exchange that quantum computers break
	VersionAddendum     string        // behind the version in the first line to the server

	// The server's identity.
	HostKeyAlgorithms                []string // the default list is not sorted by known keys
	CASignatureAlgorithms            []string
	HostKeyAlias                     string   // the name for known_hosts files; in lower case
	StrictHostKeyChecking            Mode     // Yes, No, Ask or "accept-new"
	CheckHostIP                      bool     // the address has a key in known_hosts, too
	GlobalKnownHostsFile             []string // no file for none
	UserKnownHostsFile               []string // paths; no file for none
	KnownHostsCommand                string   // a command for more known hosts, as written
	RevokedHostKeys                  []string // paths of lists of keys or of KRLs
	UpdateHostKeys                   Mode     // Yes, No or Ask
	VerifyHostKeyDNS                 Mode     // Yes, No or Ask
	VisualHostKey                    bool     // a picture of the key
	HashKnownHosts                   bool     // for new lines
	FingerprintHash                  string   // "SHA256" or "MD5" in practice
	NoHostAuthenticationForLocalhost bool     // any key is good for the local machine
	RequiredRSASize                  int      // bits

	// Authentication.
	PreferredAuthentications     []string      // nil for the order of the client
	BatchMode                    bool          // no questions
	NumberOfPasswordPrompts      int           // 3 by default
	IdentityFile                 []string      // paths as written; the default keys when no line has a path
	CertificateFile              []string      // paths as written
	IdentitiesOnly               bool          // keys of the agent only when a file names them
	IdentityAgent                string        // a socket, $NAME, "SSH_AUTH_SOCK", "none", or empty for the default
	AddKeysToAgent               Mode          // Yes, No, Ask or "confirm"
	AddKeysToAgentLifetime       time.Duration // 0 for no end
	PubkeyAuthentication         Mode          // Yes, No, "unbound" or "host-bound"
	PubkeyAcceptedAlgorithms     []string
	PasswordAuthentication       bool
	KbdInteractiveAuthentication bool
	KbdInteractiveDevices        []string // a hint for the server
	HostbasedAuthentication      bool
	HostbasedAcceptedAlgorithms  []string
	EnableSSHKeysign             bool // for system files: ssh-keysign may sign
	GSSAPIAuthentication         bool
	GSSAPIDelegateCredentials    bool   // the server may act for the user
	PKCS11Provider               string // a library
	SecurityKeyProvider          string // a library, $NAME or "internal"

	// The session.
	RequestTTY              Mode          // Auto, Yes, No or "force"
	SessionType             Mode          // "default", "none" or "subsystem"
	EscapeChar              int           // the character, or -1 for none
	RemoteCommand           string        // empty for none
	LocalCommand            string        // a command after the connection, as written
	PermitLocalCommand      bool          // LocalCommand may run
	SendEnv                 []string      // patterns of variables
	SetEnv                  []string      // NAME=value
	StdinNull               bool          // the input is empty
	ForkAfterAuthentication bool          // without a meaning for a library
	EnableEscapeCommandline bool          // the escape ~C is allowed
	ObscureKeystrokeTiming  time.Duration // the interval; 0 for no
	ChannelTimeout          []ChannelTimeout
	ForwardAgent            bool   // the server may use the agent
	ForwardAgentPath        string // the socket to forward; empty for the agent in use
	ForwardX11              bool
	ForwardX11Timeout       time.Duration // negative for none
	ForwardX11Trusted       bool          // windows of others are within reach
	XAuthLocation           string        // the program xauth
	ControlMaster           Mode          // No, Yes, Ask, Auto or "autoask"
	ControlPath             string        // the socket of a shared connection; empty for none
	ControlPersist          bool
	ControlPersistTimeout   time.Duration // 0 for no end
	Tunnel                  Mode          // No, "point-to-point" or "ethernet"
	TunnelDevice            [2]int        // local and remote; -1 for any
	Tag                     string        // for Match tagged
	IgnoreUnknown           []string      // patterns of keywords
	LogLevel                Mode          // "QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG", "DEBUG2" or "DEBUG3"
	LogVerbose              []string      // patterns of places in the source of OpenSSH
	SyslogFacility          Mode          // in upper case
	LocalForward            []Forward     // from here to a target of the server
	RemoteForward           []Forward     // without a target, the peer's SOCKS proxy
	DynamicForward          []Forward     // local SOCKS proxies
	ClearAllForwardings     bool          // Load has emptied the three lists
	ExitOnForwardFailure    bool          // a forward that fails ends the connection
	GatewayPorts            bool          // other machines may use local forwards
	PermitRemoteOpen        []string      // host:port with * for any; nil for any, ["none"] for none
	StreamLocalBindMask     uint32        // the umask for sockets
	StreamLocalBindUnlink   bool          // a socket in the way is removed

	// Ignored are the lines without effect in the blocks that match: obsolete keywords, keywords of other systems, and
	// those that IgnoreUnknown names.
	Ignored []Setting

	expansion
	tokens     map[byte]string
	origins    map[string][]origin
	fromSystem map[string][]bool // for IdentityFile and CertificateFile: which of the files a system file names
}

// CNAMERule allows a name that matches Source to become an alias that matches Target. Both are lists of patterns.
type CNAMERule struct{ Source, Target string }

// ChannelTimeout closes channels of a type after some time without data.
type ChannelTimeout struct {
	Type    string // a pattern: "session", "direct-*"
	Timeout time.Duration
}

// Algorithms are lists of names, in the order of preference.
type Algorithms struct {
	Ciphers       []string
	MACs          []string
	KexAlgorithms []string
	// PublicKey is for HostKeyAlgorithms, PubkeyAcceptedAlgorithms and HostbasedAcceptedAlgorithms.
	PublicKey []string
	// CASignature is for CASignatureAlgorithms.
	CASignature []string
}
