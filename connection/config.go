package connection

import "time"

// Bounds of what the peer can make us hold or start.
const (
	maxWindow    = 1 << 30
	maxMaxPacket = 128 << 10

	// maxMessage bounds requests and opens of our own: OpenSSH ends the
	// connection for a packet of more than 256 KiB.
	maxMessage = 255 << 10

	// maxPending bounds the requests of one channel, or of the connection,
	// that the peer has not answered; abandoned ones count.
	maxPending = 1024

	// maxQueued and maxQueuedBytes bound the requests of the peer that wait
	// for their handler, for each channel and for the connection.
	maxQueued      = 64
	maxQueuedBytes = 256 << 10

	// maxDeciding bounds the opens of the peer whose answer is not on its way,
	// each of which has a goroutine.
	maxDeciding = 256

	// maxPeerText bounds, in bytes, text of the peer that gets into errors.
	maxPeerText = 200
)

// Config is the configuration of a [Conn]. A field that is zero or negative has
// its default, except where it says otherwise.
type Config struct {
	// Window is how many bytes, of stdout and stderr together, a channel holds
	// at first for a reader that is slower than the peer. 0 means 2 MiB, more
	// than 1 GiB means 1 GiB. The memory is used only while the bytes wait.
	Window int

	// MaxWindow is how far the window of a channel grows while its reader keeps
	// up, because a channel moves at most one window in each round trip. A
	// reader that becomes slow finds as much waiting once, before the window
	// shrinks. 0 means 15 MiB, since OpenSSH misbehaves with more, and more
	// than 1 GiB means 1 GiB. When it is negative or not more than Window, the
	// window does not grow.
	MaxWindow int

	// MaxPacket is the most data, in bytes, that the peer may put in one
	// packet. 0 means 32 KiB, more than 128 KiB means 128 KiB. The transport
	// has to accept packets of this size.
	MaxPacket int

	// KeepAliveInterval is the time without a packet from the peer after
	// which it is asked for a sign of life. 0 means never: RFC 4254 has no
	// such question, so a peer that leaves unknown requests unanswered would
	// be taken for dead, and its later answers for those of earlier requests.
	KeepAliveInterval time.Duration

	// KeepAliveCount is how many of these questions in a row may be left
	// unanswered for an interval each before the connection ends with a
	// [*KeepAliveError]. 0 means 3.
	KeepAliveCount int

	// MaxChannels bounds the channels that are open at once, whoever opened
	// them. 0 means 4096.
	MaxChannels int
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
