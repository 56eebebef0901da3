package packetio

import (
	"net"
)

// A Reader is the receiving direction of a connection.
type Reader struct {
	receiveBuffer
	cipher Cipher
	seq    uint32
	max    uint32 // largest packet_length accepted

	usage Usage // of the key
	total Usage // of the connection
}

// Init prepares a Reader from c, without a cipher. maxPacket is the largest
// packet_length to accept.
func (r *Reader) Init(c net.Conn, maxPacket int) {
	r.receiveBuffer.init(c)
	r.cipher, r.max = plain{}, uint32(maxPacket)
}

// SetCipher takes a new cipher into use. restart makes sequence numbers start at 0,
// as strict key exchange demands.
func (r *Reader) SetCipher(c Cipher, restart bool) {
	r.cipher, r.usage = c, Usage{}
	if restart {
		r.seq = 0
	}
}

// KeyUsage returns how much the cipher has opened.
func (r *Reader) KeyUsage() Usage { return r.usage }

// Total returns how much has come in all, packets or not.
func (r *Reader) Total() Usage { return r.total }

// Sequence returns the sequence number of the packet that Next has returned last.
func (r *Reader) Sequence() uint32 { return r.seq - 1 }

// Next returns the payload of the next packet, at least one byte long and valid
// until the next call. Lengths are checked before they are used.
func (r *Reader) Next() ([]byte, error) {
	prefix, err := r.peek(r.cipher.prefix())
	if err != nil {
		return nil, err
	}
	length := r.cipher.length(r.seq, prefix)
	if length < minLength || length > r.max {
		return nil, errorf("packet_length %d is not between %d and %d", length, minLength, r.max)
	}
	if block, counted := r.cipher.block(); (length+counted)%block != 0 {
		return nil, errorf("packet_length %d is not a multiple of the block size", length)
	}
	frame, err := r.peek(4 + int(length) + r.cipher.tag())
	if err != nil {
		return nil, err
	}
	if r.usage.Packets >= maxKeyPackets {
		return nil, errorf("the server used one key for more than 2^32 packets")
	}
	if err := r.cipher.open(r.seq, frame); err != nil {
		return nil, err
	}
	r.start += len(frame)
	r.seq++
	r.usage.add(len(frame))
	r.total.add(len(frame))
	padding := uint32(frame[4])
	if padding < minPadding || padding+2 > length {
		return nil, errorf("padding_length %d is not between %d and %d", padding, minPadding, length-2)
	}
	end := 4 + length - padding
	return frame[headerSize:end:end], nil // an append must not touch the next packet
}

// Line returns the next line before the first packet, with its LF. A line of more
// than most bytes is cut there. With an error, line is what has come of the line.
func (r *Reader) Line(most int) (line string, err error) {
	for n := 1; n <= most; n++ {
		b, err := r.peek(n)
		if err != nil {
			return string(r.buf[r.start:r.end]), err
		}
		if b[n-1] == '\n' {
			r.start += n
			r.total.Bytes += int64(n)
			return string(b), nil
		}
	}
	return string(r.buf[r.start : r.start+most]), nil
}
