// Package packetio is the binary packet protocol, RFC 4253 section 6: packets are
// encrypted and decrypted in buffers, and the buffers pass through a connection.
//
// A [Writer] and a [Reader] are the two directions, and know no messages: package
// transport decides what is sent when, derives keys, and says which [Cipher] comes
// next. Package transport has a lock for each direction, so nothing locks in here.
// Error texts bear the name of package transport, because its callers meet them.
package packetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxPayload is the most bytes of a payload to send: more than a peer must accept.
const MaxPayload = 256 * 1024

// Limits of the binary packet protocol, RFC 4253 section 6.
const (
	maxKeyPackets = 1 << 32 // under one key: RFC 4344 section 3.1

	minPadding = 4
	minLength  = 1 + 1 + minPadding // padding_length, message number, padding
	headerSize = 4 + 1              // packet_length, padding_length
)

// Usage counts the packets and bytes of one direction.
type Usage struct {
	Packets, Bytes int64
}

func (u *Usage) add(bytes int) {
	u.Packets++
	u.Bytes += int64(bytes)
}

// An Error tells how the peer has violated the protocol. Package transport makes
// its ProtocolError of Detail.
type Error struct {
	Detail string
}

func (e *Error) Error() string { return "transport: " + e.Detail }

func errorf(format string, args ...any) error { return &Error{Detail: fmt.Sprintf(format, args...)} }

// errMAC is the error of a frame that the peer has not sealed.
var errMAC = errorf("message authentication failed: the packet was changed on its way, or is not the server's")

// noEOF replaces io.EOF: SSH says goodbye in a message, so an end of the bytes is never
// orderly.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// A Cipher protects the packets of one direction. A frame is a whole binary packet:
// packet_length, padding_length, payload, padding and tag. All methods work in place
// and are called once for each packet, in order.
type Cipher interface {
	// block returns the size to which padding rounds up, and how many bytes of
	// packet_length count for that: 4 by RFC 4253 section 6, 0 where the length is
	// not encrypted with the rest.
	block() (size, counted uint32)
	// tag returns the length of the MAC or authentication tag.
	tag() int
	// prefix returns how many bytes length needs.
	prefix() int
	// length returns packet_length of the frame that starts with prefix. The
	// length is not authenticated yet.
	length(seq uint32, prefix []byte) uint32
	// open authenticates and decrypts a frame whose prefix length has seen.
	open(seq uint32, frame []byte) error
	// seal encrypts a frame and fills in its tag.
	seal(seq uint32, frame []byte)
}

// plain is the Cipher before the first NEWKEYS, RFC 4253 section 6.3.
type plain struct{}

func (plain) block() (size, counted uint32)         { return 8, 4 }
func (plain) tag() int                              { return 0 }
func (plain) prefix() int                           { return 4 }
func (plain) length(_ uint32, prefix []byte) uint32 { return binary.BigEndian.Uint32(prefix) }
func (plain) open(uint32, []byte) error             { return nil }
func (plain) seal(uint32, []byte)                   {}
