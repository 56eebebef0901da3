package transport

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/transport/internal/kex"
	"github.com/nacre-ssh/nacre/transport/internal/packetio"
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

// Config is the policy of a transport connection. Only HostKey must be set.
//
// The algorithm lists are in order of preference; the server takes the first of our
// names that its own list has too. A name that this package does not implement is an
// error of Handshake, before anything is sent.
type Config struct {
	// HostKey decides whether the host key is the right server's. A HostKey with
	// the method of HostKeyPreferrer orders HostKeyAlgorithms too.
	HostKey HostKeyVerifier

	// Addr is the user's name for the server, "host:port". Addr is handed to HostKey
	// and never resolved or dialled.
	Addr string

	KeyExchanges      []string
	HostKeyAlgorithms []string
	Ciphers           []string // for both directions
	MACs              []string // for both directions; not used by AEAD ciphers

	// ServerKeyExchanges are the methods that this server is expected to offer: the
	// State of an earlier connection has them. The first message of the method that
	// both sides would agree on leaves early, together with our KEXINIT, and saves a
	// round trip. The method is still negotiated as always. If the outcome is another
	// method, Handshake fails with ErrEarlyKeyExchange, before anything secret is
	// sent, and the caller connects anew without ServerKeyExchanges.
	ServerKeyExchanges []string

	// ClientVersion is our identification string, "SSH-2.0-software comment"
	// without CR LF, at most 253 bytes of printable ASCII.
	ClientVersion string

	// WaitForVersion sends nothing before the server's version has come, at the cost
	// of a round trip. RFC 4253 section 4.2 lets both sides begin, but a few old
	// servers drop all bytes that come before their own version has left.
	WaitForVersion bool

	// HandshakeTimeout bounds the handshake, and each key re-exchange: 0 is 2
	// minutes, negative means no bound. Only the time of waiting for the server counts.
	// The time of HostKey is free, and ends with the context of Handshake.
	HandshakeTimeout time.Duration

	// LoginTimeout, LoginBytes and LoginPackets bound the server from the beginning
	// of Handshake until its SSH_MSG_USERAUTH_SUCCESS. Above a bound the connection
	// ends with a BudgetError. 0 is 2 minutes, 4 MiB and 4096 packets; negative is no
	// bound, for protocols without that message.
	//
	// LoginTimeout counts the time of calls that wait for the server: Handshake but
	// for HostKey, ReadPacket, WaitService, and writes that the connection below does
	// not take. The time in which a person looks for a password is free. LoginBytes
	// and LoginPackets count everything received: the lines before the version, the
	// key exchange, noise.
	LoginTimeout time.Duration
	LoginBytes   int64
	LoginPackets int64

	// RekeyBytes and RekeyPackets bound the use of a key in either direction, and
	// RekeyInterval the age of the keys when something is to be sent. New keys are
	// exchanged at a bound. 0 is 1 GiB, 2^31 packets and 1 hour; negative means no bound,
	// but no key outlives 2^31 packets (RFC 4344 section 3.1). All bounds apply from
	// the server's SSH_MSG_USERAUTH_SUCCESS on.
	RekeyBytes    int64
	RekeyPackets  int64
	RekeyInterval time.Duration

	// MaxPacket is the largest packet_length that we accept, in bytes: 0 is 35,000,
	// enough for channel packets up to 32 KiB; the most is 262,144.
	MaxPacket int

	// RequireStrictKex refuses a server without strict key exchange, and so every
	// prefix truncation attack (CVE-2023-48795).
	RequireStrictKex bool

	// WarnWeakCrypto is called with the State before Handshake returns, if the first key
	// exchange is not post-quantum: whoever records the connection may read the
	// recording in the age of quantum computers. OpenSSH 10.1 warns of the same by its
	// option of that name. WarnWeakCrypto runs on the goroutine of Handshake, and must
	// not call the Conn. nil is silence; State.PostQuantum tells in any case, also
	// after a re-exchange.
	WarnWeakCrypto func(State)

	// InsecureRSABits is the smallest size of an RSA host key: 0 is 2048 bits.
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

// orDefault copies a list of the user's. All connections share the defaults, because
// nobody changes the defaults.
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

// check finds mistakes of the user before a byte is sent.
func (c *Config) check() error {
	if c.HostKey == nil {
		return fmt.Errorf("transport: Config.HostKey is not set: set a verifier, for example FixedHostKey, because no server is trusted without")
	}
	lists := []struct {
		field string
		names []string
		known func(string) bool
	}{
		{"KeyExchanges", c.KeyExchanges, kex.Has},
		{"HostKeyAlgorithms", c.HostKeyAlgorithms, func(n string) bool { _, ok := sshkey.HostAlgorithm(n); return ok }},
		{"Ciphers", c.Ciphers, packetio.HasCipher},
		{"MACs", c.MACs, packetio.HasMAC},
	}
	for _, l := range lists {
		// MACs may be empty: AEAD ciphers do without.
		if len(l.names) == 0 && l.field != "MACs" {
			return fmt.Errorf("transport: Config.%s is empty: leave the list nil for the defaults", l.field)
		}
		for _, n := range l.names {
			if !l.known(n) {
				return fmt.Errorf("transport: Config.%s has the algorithm %q, but this package does not implement it", l.field, n)
			}
		}
	}
	if c.MaxPacket < 0 || c.MaxPacket > limitMaxPacket {
		return fmt.Errorf("transport: Config.MaxPacket is %d: set 1 to %d, or 0 for the default", c.MaxPacket, limitMaxPacket)
	}
	v := c.ClientVersion
	if !strings.HasPrefix(v, "SSH-2.0-") || len(v) == len("SSH-2.0-") || len(v) > maxVersion-2 || !printable(v) {
		return fmt.Errorf("transport: Config.ClientVersion is %q: an identification string has the form SSH-2.0-software (RFC 4253 section 4.2)", v)
	}
	return nil
}

// printable reports whether s has only printable ASCII.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
