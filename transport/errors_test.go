package transport_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// The name of the package begins each text, and stands in no text twice.
func TestTextsOfErrors(t *testing.T) {
	key := hostKey().PublicKey()
	for text, err := range map[string]error{
		"transport: protocol error: message 52 before KEXINIT":                                                             &transport.ProtocolError{Detail: "message 52 before KEXINIT"},
		`transport: server disconnected, reason 2: "\x1b[2J"`:                                                              &transport.DisconnectError{Reason: 2, Message: "\x1b[2J"},
		`transport: no common algorithm for host key: we offer "a,b", the server offers "c"`:                               &transport.NegotiationError{Kind: "host key", Ours: []string{"a", "b"}, Theirs: []string{"c"}},
		"transport: key exchange: the server took more than HandshakeTimeout 1s":                                           &transport.BudgetError{Stage: "key exchange", Field: "HandshakeTimeout", Limit: "1s"},
		"transport: host key of pearl:22: malformed: no":                                                                   &transport.HostKeyError{Addr: "pearl:22", Err: errors.New("malformed: no")},
		"transport: the early key exchange has failed":                                                                     transport.ErrEarlyKeyExchange,
		"transport: host key " + ssh.FingerprintSHA256(key) + " refused: the signature over the key exchange is not valid": &transport.HostKeyError{Key: key, Err: transport.ErrHostKeySignature},
	} {
		require.EqualError(t, err, text)
	}
}

// Errors that pass through several layers of this package name the package once.
func TestNameOfThePackageIsSaidOnce(t *testing.T) {
	for name, lies := range map[string]script{
		"protocol":         func(p *wire.Peer) { p.Before(20, []byte{52}) },
		"signature":        replies(func(m *wire.KexECDHReplyMsg) { m.Signature[40] ^= 1 }),
		"version":          func(p *wire.Peer) { p.Version = "SSH-1.5-x\r\n" },
		"negotiation":      inits(func(m *wire.KexInitMsg) { m.Kex = nil }),
		"end":              func(p *wire.Peer) { p.ReceiveVersion(); p.Conn.Close() },
		"other key method": inits(func(m *wire.KexInitMsg) { m.Kex = []string{"ecdh-sha2-nistp256"} }),
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, transport.Config{ServerKeyExchanges: []string{curve}}, func(p *wire.Peer) {
				lies(p)
				honest(p)
			})
			first := c.Handshake(t.Context())
			_, later := c.ReadPacket()
			for _, err := range []error{first, later} {
				require.Error(t, err)
				require.True(t, strings.HasPrefix(err.Error(), "transport: "), "%v", err)
				require.Equal(t, 1, strings.Count(err.Error(), "transport: "), "%v", err)
			}
			require.ErrorIs(t, later, net.ErrClosed)
		})
	}
}

func TestOnlyATimeoutIsATimeout(t *testing.T) {
	for field, timeout := range map[string]bool{
		"HandshakeTimeout": true, "LoginTimeout": true, "LoginBytes": false, "LoginPackets": false,
	} {
		var err net.Error = &transport.BudgetError{Field: field}
		require.Equal(t, timeout, err.Timeout(), field)
		require.Equal(t, timeout, errors.Is(err, os.ErrDeadlineExceeded), field)
		require.Equal(t, timeout, errors.Is(err, context.DeadlineExceeded), field)
		require.NotErrorIs(t, err, context.Canceled)
	}
}
