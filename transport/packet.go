package transport

// Limits of the binary packet protocol, RFC 4253 section 6.
const (
	// One key protects at most 2^32 packets; we ask for another after half as
	// many, whatever the config says: RFC 4344 section 3.1.
	maxKeyPackets = 1 << 32
	askKeyPackets = 1 << 31

	minPadding  = 4
	minLength   = 1 + 1 + minPadding // padding_length, message number, padding
	maxPayload  = 256 * 1024         // that we send; far above what a peer must accept
	writeBuffer = 132 * 1024         // bytes gathered for one write: 128 KiB of data, and what is around it
)

// A packetCipher protects the packets of one direction. A frame is a whole
// binary packet: packet_length, padding_length, payload, padding and tag. All
// methods work in place and are called once for each packet, in order.
type packetCipher interface {
	// block returns the size that padding rounds up to, and how many bytes of
	// packet_length count for it: 4 by RFC 4253 section 6, 0 where the length
	// is not encrypted with the rest.
	block() (size, counted uint32)
	// tag returns the length of the MAC or authentication tag.
	tag() int
	// prefix returns how many bytes length needs.
	prefix() int
	// length returns packet_length of the frame that starts with prefix. It is
	// not authenticated yet.
	length(seq uint32, prefix []byte) uint32
	// open authenticates and decrypts a frame whose prefix length has seen.
	open(seq uint32, frame []byte) error
	// seal encrypts a frame and fills in its tag.
	seal(seq uint32, frame []byte)
}

// plainCipher is the state before the first NEWKEYS, RFC 4253 section 6.3.
type plainCipher struct{}

func (plainCipher) block() (size, counted uint32)         { return 8, 4 }
func (plainCipher) tag() int                              { return 0 }
func (plainCipher) prefix() int                           { return 4 }
func (plainCipher) length(_ uint32, prefix []byte) uint32 { return be32(prefix) }
func (plainCipher) open(uint32, []byte) error             { return nil }
func (plainCipher) seal(uint32, []byte)                   {}

// usage counts what one key of one direction has protected.
type usage struct {
	packets, bytes int64
}

// errMAC is what a frame that was not sealed by the peer gets.
var errMAC = protocolErrorf("message authentication failed: the packet was changed or is not the server's")
