package connection

import "time"

// These constants bound the memory and the goroutines that the peer can make us use.
const (
	maxWindow    = 1 << 30
	maxMaxPacket = 128 << 10

	// maxMessage bounds requests and opens of our own: OpenSSH ends the connection for a packet
	// of more than 256 KiB.
	maxMessage = 255 << 10

	// maxPending bounds the requests of a channel, or of the connection, without an answer of
	// the peer; abandoned requests count.
	maxPending = 1024

	// maxQueued and maxQueuedBytes bound the requests of the peer that wait for their handler,
	// for each channel and for the connection.
	maxQueued      = 64
	maxQueuedBytes = 256 << 10

	// maxDeciding bounds the opens of the peer whose answer is not on its way: each has a
	// goroutine.
	maxDeciding = 256

	// maxPeerText bounds, in bytes, text of the peer in errors.
	maxPeerText = 200
)

// Config is the configuration of a [Conn]. A field that is zero or negative has its default,
// unless the field's comment says otherwise.
type Config struct {
	// Window is the number of bytes, of stdout and stderr together, that a channel holds at
	// first for a reader slower than the peer. 0 means 2 MiB, more than 1 GiB means 1 GiB.
	// Memory is used only while bytes wait.
	Window int

	// MaxWindow bounds the growth of a channel's window. The window grows while the reader keeps
	// up, because a channel moves at most a window in each round trip. A reader that becomes
	// slow finds as much waiting once, before the window shrinks. 0 means 15 MiB, since OpenSSH
	// misbehaves with more, and more than 1 GiB means 1 GiB. With a negative MaxWindow, or one
	// of Window or less, the window does not grow.
	MaxWindow int

	// MaxPacket is the most data, in bytes, that the peer may put in a packet. 0 means 32 KiB,
	// more than 128 KiB means 128 KiB. The transport has to accept packets of this size.
	MaxPacket int

	// KeepAliveInterval is the time without a packet from the peer after which we ask for a sign
	// of life. 0 means never: RFC 4254 has no request for that, so a peer that leaves unknown
	// requests unanswered would be taken for dead, and the peer's later answers for answers to
	// earlier requests.
	KeepAliveInterval time.Duration

	// KeepAliveCount is how many of these questions in a row may be left unanswered for an
	// interval each before the connection ends with a [*KeepAliveError]. 0 means 3.
	KeepAliveCount int

	// MaxChannels bounds the channels that are open at once, whoever opened them. 0 means 4096.
	MaxChannels int

	// HandleOpen are handlers of channels that the peer opens, by channel type, as for
	// [Conn.HandleOpen]. They are in force before the first packet is read: no open of the peer
	// comes too early for its handler.
	HandleOpen map[string]OpenFunc

	// HandleRequest are handlers of global requests, by name, as for [Conn.HandleRequest]. They
	// are in force before the first packet is read.
	HandleRequest map[string]RequestFunc
}

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	if d.Window <= 0 {
		d.Window = 2 << 20
	}
	d.Window = min(d.Window, maxWindow)
	if d.MaxWindow == 0 {
		d.MaxWindow = 15 << 20
	}
	d.MaxWindow = max(d.Window, min(d.MaxWindow, maxWindow))
	if d.MaxPacket <= 0 {
		d.MaxPacket = 32 << 10
	}
	d.MaxPacket = min(d.MaxPacket, maxMaxPacket)
	if d.KeepAliveCount <= 0 {
		d.KeepAliveCount = 3
	}
	if d.MaxChannels <= 0 {
		d.MaxChannels = 4096
	}
	return d
}
