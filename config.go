package nacre

import (
	"context"
	"errors"
	"net"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// Config says how to connect. Dial copies the Config; its slices, maps and the
// values in them are shared, and may serve many connections at once.
//
// A connection lost because of early messages is made anew: Dial is called once
// more, and HostKey, Banner, AuthTrace and the functions in Auth may be called
// again. A key shown early to a server with a low limit of refusals can cause the
// loss as well. Keys may be shown several at a time, and more keys than needed to
// find the right key. DisableEarly excludes all of this.
type Config struct {
	// Dial makes the connection below; nil is a net.Dialer. The method
	// DialContext of a Client, the bastion, makes this a jump.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// HostKey verifies the server. The field is required. A verifier that is also
	// a hostkeys.Learner is told once the user is authenticated, before Dial
	// returns; its error ends the connection. A verifier that is also a
	// hostkeys.Rotator gets the server's announcements of its keys. A
	// knownhosts.Policy is both.
	HostKey transport.HostKeyVerifier

	// Auth are the authentication methods, tried in order. Without any, Dial
	// fails once the server is verified.
	Auth []userauth.Method

	// Banner gets the server's messages before authentication is done, clean
	// of control characters; nil drops them.
	Banner func(message string)

	// AuthTrace gets every attempt to authenticate when its result is known,
	// the successful attempt included; nil drops them.
	AuthTrace func(attempt userauth.Attempt)

	// RequireFactors is how many proofs of identity the server must have accepted
	// at least, like the field of [userauth.Config]; 0 is any number.
	RequireFactors int

	// Memory remembers servers, so that later connections to them take fewer
	// round trips. nil is DefaultMemory; NoMemory{} remembers nothing.
	Memory Memory

	// DisableEarly makes every message wait for its turn, with all servers: only
	// the flights of the RFCs remain. Set the field for a server that bears fewer
	// early messages than others of the same identification. The error of a
	// command names the field in this case.
	DisableEarly bool

	// WrapTransport puts a layer of the caller's between the transport and the
	// layers above, for tracing or faults: userauth and connection read and write
	// through its result. nil adds no layer. A struct that embeds the
	// *transport.Conn and overrides ReadPacket and WritePacket sees every packet of
	// these layers, and keeps the speed of the transport; see connection.Transport for
	// what a layer must not do. WrapTransport is called once
	// for each connection, before the handshake. Close of the result is called in any
	// case, and may be called more than once.
	WrapTransport func(t *transport.Conn) Transport

	// Transport and Connection tune the layers. HostKey and Addr of the
	// transport are set by Dial.
	Transport  transport.Config
	Connection connection.Config
}

// Transport has the methods of a transport that the layers above require.
// userauth and connection name further, optional powers in interfaces of their
// own, and look for these powers in the same value.
type Transport interface {
	userauth.Transport
	connection.Transport
}

// *transport.Conn is a Transport with all powers.
var _ interface {
	Transport
	userauth.Batcher
	userauth.HostKeyProver
	userauth.DoneNotifier
	userauth.ServiceWaiter
	connection.TryBatcher
	connection.WaitNotifier
	connection.Unimplementer
} = (*transport.Conn)(nil)

// check refuses an unusable Config before anything is dialled.
func (c *Config) check() error {
	if c == nil || c.HostKey == nil {
		return errors.New("nacre: Config.HostKey is not set: the server cannot be verified")
	}
	return nil
}

// withDefaults returns a copy with every function and the memory set.
func (c *Config) withDefaults() Config {
	d := *c
	if d.Dial == nil {
		d.Dial = new(net.Dialer).DialContext
	}
	if d.Memory == nil {
		d.Memory = DefaultMemory
	}
	if d.WrapTransport == nil {
		d.WrapTransport = func(t *transport.Conn) Transport { return t }
	}
	return d
}

// Sizes for a transport of the connection's packets, in bytes.
const (
	maxChannelData   = 128 << 10 // of a packet, whatever the config says
	channelOverhead  = 1024      // the channel's header, padding
	defaultMaxPacket = 35000     // of the transport
)

// transportConfig returns the transport's part.
func (c *Config) transportConfig(addr string) transport.Config {
	tc := c.Transport
	tc.HostKey, tc.Addr = c.HostKey, addr
	if size := c.Connection.MaxPacket; tc.MaxPacket == 0 && size > 0 {
		tc.MaxPacket = max(defaultMaxPacket, min(size, maxChannelData)+channelOverhead)
	}
	return tc
}
