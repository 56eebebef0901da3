package transport

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults and limits of Config.
const (
	defaultVersion          = "SSH-2.0-Nacre_0.1"
	defaultHandshakeTimeout = 2 * time.Minute
	defaultLoginTimeout     = 2 * time.Minute // LoginGraceTime of sshd
	defaultLoginBytes       = 4 << 20
	defaultLoginPackets     = 4096
	defaultRekeyBytes       = 1 << 30 // RFC 4253 section 9
	defaultRekeyPackets     = askKeyPackets
	defaultRekeyInterval    = time.Hour
	defaultMaxPacket        = 35000  // RFC 4253 section 6.1
	limitMaxPacket          = 262144 // as in OpenSSH
	defaultRSABits          = 2048
)

// Config is the policy of one transport connection. Only HostKey must be set.
//
// The algorithm lists are in order of preference; the server takes the first
// of ours that it has too. A name that this package does not implement is an
// error of Handshake, before anything is sent.
type Config struct {
	// HostKey decides whether the server is the one that we want to talk to.
	// If it is also a HostKeyPreferrer, it orders HostKeyAlgorithms.
	HostKey HostKeyVerifier

	// Addr is the name under which the user knows the server, "host:port".
	// It is handed to HostKey and never resolved or dialled.
	Addr string

	KeyExchanges      []string
	HostKeyAlgorithms []string
	Ciphers           []string // for both directions
	MACs              []string // for both directions; not used by AEAD ciphers

	// ServerKeyExchanges are the methods that this server is expected to offer:
	// the State of an earlier connection to it has them. The first message of
	// the method that both sides then agree on leaves together with our
	// KEXINIT, which saves a round trip. Nothing else depends on it: the server
	// has to choose as always. When it offers something by which another
	// method is chosen, Handshake fails with an error that is ErrAnticipation,
	// before anything secret is sent, and the caller connects anew without.
	ServerKeyExchanges []string

	// ClientVersion is our identification string, "SSH-2.0-software comment"
	// without CR LF, at most 253 bytes of printable ASCII.
	ClientVersion string

	// WaitForVersion sends nothing before the server's version has come, which
	// costs a round trip. RFC 4253 section 4.2 lets both sides begin, but a few
	// old servers take what comes before their own version for noise.
	WaitForVersion bool

	// HandshakeTimeout bounds the handshake, and each key re-exchange: 0 is 2
	// minutes, negative is no bound. It counts the time in which the server is
	// waited for, and not what HostKey takes: that ends with the context of
	// Handshake.
	HandshakeTimeout time.Duration

	// What the server may take from the beginning of Handshake until it has said
	// SSH_MSG_USERAUTH_SUCCESS, all of it together. Then the connection ends
	// with a BudgetError. 0 is 2 minutes, 4 MiB and 4096 packets, negative is no
	// bound, which is for those who run a protocol without that message.
	//
	// LoginTimeout counts the time in which a call waits for the server:
	// Handshake but for HostKey, ReadPacket, AwaitService and a write that the
	// connection below does not take. The time in which a person looks for a
	// password is nobody's. LoginBytes and LoginPackets count what is received,
	// as it comes: the lines before the version, the key exchange, noise.
	LoginTimeout time.Duration
	LoginBytes   int64
	LoginPackets int64

	// New keys are exchanged after that many bytes or packets in either
	// direction under one key, or when the keys have that age and something
	// is to be sent. 0 is 1 GiB, 2^31 packets, 1 hour; negative is never, but
	// for 2^31 packets, which no key survives (RFC 4344 section 3.1). All of
	// that begins once the server has said SSH_MSG_USERAUTH_SUCCESS.
	RekeyBytes    int64
	RekeyPackets  int64
	RekeyInterval time.Duration

	// MaxPacket is the largest packet_length that we accept, in bytes: 0 is
	// 35,000, which every channel packet up to 32 KiB fits in; the most is
	// 262,144.
	MaxPacket int

	// RequireStrictKex refuses a server without strict key exchange, and with
	// it every prefix truncation attack (CVE-2023-48795).
	RequireStrictKex bool

	// InsecureRSABits accepts RSA host keys from that size on: 0 is 2048 bits.
	InsecureRSABits int
}

// clone copies the config deeply and fills in the defaults.
func (c *Config) clone() Config {
	e := *c
	e.KeyExchanges = orDefault(c.KeyExchanges, defaultKeyExchanges)
	e.HostKeyAlgorithms = orDefault(c.HostKeyAlgorithms, defaultHostKeyAlgorithms)
	e.Ciphers = orDefault(c.Ciphers, defaultCiphers)
	e.MACs = orDefault(c.MACs, defaultMACs)
	e.ServerKeyExchanges = slices.Clone(c.ServerKeyExchanges)
	setDefault(&e.ClientVersion, defaultVersion)
	setDefault(&e.HandshakeTimeout, defaultHandshakeTimeout)
	setDefault(&e.LoginTimeout, defaultLoginTimeout)
	setDefault(&e.LoginBytes, defaultLoginBytes)
	setDefault(&e.LoginPackets, defaultLoginPackets)
	setDefault(&e.RekeyBytes, defaultRekeyBytes)
	setDefault(&e.RekeyPackets, defaultRekeyPackets)
	setDefault(&e.RekeyInterval, defaultRekeyInterval)
	setDefault(&e.MaxPacket, defaultMaxPacket)
	setDefault(&e.InsecureRSABits, defaultRSABits)
	return e
}

// orDefault copies a list of the user's. All connections share the defaults,
// which nobody changes.
func orDefault(list, def []string) []string {
	if list == nil {
		return def
	}
	return slices.Clone(list)
}

func setDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// check finds the mistakes of the user before a byte is sent.
func (c *Config) check() error {
	if c.HostKey == nil {
		return fmt.Errorf("transport: Config.HostKey is not set: the server cannot be verified")
	}
	lists := []struct {
		field string
		names []string
		known func(string) bool
	}{
		{"KeyExchanges", c.KeyExchanges, func(n string) bool { return kexMethods[n] != nil }},
		{"HostKeyAlgorithms", c.HostKeyAlgorithms, func(n string) bool { return hostKeyAlgorithms[n] != (hostKeyAlgorithm{}) }},
		{"Ciphers", c.Ciphers, func(n string) bool { return cipherModes[n] != nil }},
		{"MACs", c.MACs, func(n string) bool { return macModes[n] != nil }},
	}
	for _, l := range lists {
		// MACs may be empty: AEAD ciphers do without.
		if len(l.names) == 0 && l.field != "MACs" {
			return fmt.Errorf("transport: Config.%s is empty", l.field)
		}
		for _, n := range l.names {
			if !l.known(n) {
				return fmt.Errorf("transport: Config.%s: unknown algorithm %q", l.field, n)
			}
		}
	}
	if c.MaxPacket < 0 || c.MaxPacket > limitMaxPacket {
		return fmt.Errorf("transport: Config.MaxPacket is %d, must be 1 to %d", c.MaxPacket, limitMaxPacket)
	}
	v := c.ClientVersion
	if !strings.HasPrefix(v, "SSH-2.0-") || len(v) == len("SSH-2.0-") || len(v) > maxVersion-2 || !printable(v) {
		return fmt.Errorf("transport: Config.ClientVersion: %q is not an identification string of RFC 4253 section 4.2", v)
	}
	return nil
}

// printable tells whether s has only printable ASCII.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
