package transport

import "bytes"

// maxPostponed bounds what is kept of a server that goes on sending data while
// it exchanges keys, in bytes: a window of the size that servers are granted for
// fast paths, and some more.
const (
	maxPostponed      = 16 << 20
	postponedOverhead = 64 // of a packet, in memory
)

// packetQueue has packets of the layers above that have come in a re-exchange,
// until ReadPacket returns them behind it. RFC 4253 section 7.1 has none come
// between the server's KEXINIT and its NEWKEYS. AsyncSSH 2.10 sends what it has
// nevertheless, whenever a gigabyte has passed, and OpenSSH's client takes it.
type packetQueue struct {
	packets []queuedPacket
	size    int // of all since the queue was empty
}

type queuedPacket struct {
	payload []byte
	seq     uint32
}

// postpone keeps a copy of the packet that was read last.
func (r *readHalf) postpone(p []byte) error {
	q := &r.postponed
	if q.size += len(p) + postponedOverhead; q.size > maxPostponed {
		return protocolErrorf("more than %d bytes of data during a key exchange", maxPostponed)
	}
	q.packets = append(q.packets, queuedPacket{bytes.Clone(p), r.seq - 1})
	return nil
}

// pop takes the first packet, if there is one.
func (q *packetQueue) pop() (payload []byte, seq uint32, ok bool) {
	if len(q.packets) == 0 {
		return nil, 0, false
	}
	first := q.packets[0]
	q.packets[0] = queuedPacket{}
	if q.packets = q.packets[1:]; len(q.packets) == 0 {
		*q = packetQueue{}
	}
	return first.payload, first.seq, true
}
