package transport

import "bytes"

// maxPostponed bounds, in bytes, the data of a server that goes on sending during a
// key exchange: a window of the size for fast paths, and some more.
const (
	maxPostponed      = 16 << 20
	postponedOverhead = 64 // of a packet, in memory
)

// packetQueue has packets of the layers above that have come during a re-exchange;
// ReadPacket returns them behind the exchange. RFC 4253 section 7.1 allows none between
// the server's KEXINIT and its NEWKEYS. AsyncSSH 2.10 sends data nevertheless, whenever
// a gigabyte has passed, and OpenSSH's client takes the data.
type packetQueue struct {
	packets []queuedPacket
	size    int // of all since the queue was empty
}

type queuedPacket struct {
	payload []byte
	seq     uint32
}

// postpone keeps a copy of the packet that Next has returned last.
func (r *readHalf) postpone(p []byte) error {
	q := &r.postponed
	if q.size += len(p) + postponedOverhead; q.size > maxPostponed {
		return protocolErrorf("more than %d bytes of data during a key exchange", maxPostponed)
	}
	q.packets = append(q.packets, queuedPacket{bytes.Clone(p), r.Sequence()})
	return nil
}

// pop takes the first packet. ok is false if the queue is empty.
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
