package packetio

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// macMode is an HMAC of RFC 6668; etm is OpenSSH PROTOCOL section 1.5.
type macMode struct {
	keyLen int
	hash   func() hash.Hash
	etm    bool
}

var macModes = map[string]*macMode{
	"hmac-sha2-256":                 {32, sha256.New, false},
	"hmac-sha2-512":                 {64, sha512.New, false},
	"hmac-sha2-256-etm@openssh.com": {32, sha256.New, true},
	"hmac-sha2-512-etm@openssh.com": {64, sha512.New, true},
}

// mac authenticates the packets of one direction.
type mac struct {
	hmac hash.Hash
	etm  bool
	seq  [4]byte
	out  []byte // room for a result, so that none is allocated
}

func (m *macMode) new(key []byte) *mac {
	h := hmac.New(m.hash, key)
	return &mac{hmac: h, etm: m.etm, out: make([]byte, 0, h.Size())}
}

func (m *mac) size() int { return m.hmac.Size() }

// sum writes the MAC over sequence number and packet into tag, RFC 4253
// section 6.4.
func (m *mac) sum(tag []byte, seq uint32, packet []byte) {
	m.hmac.Reset()
	binary.BigEndian.PutUint32(m.seq[:], seq)
	m.hmac.Write(m.seq[:])
	m.hmac.Write(packet)
	m.out = m.hmac.Sum(m.out[:0])
	copy(tag, m.out)
}

// verify compares in constant time.
func (m *mac) verify(seq uint32, packet, tag []byte) bool {
	m.hmac.Reset()
	binary.BigEndian.PutUint32(m.seq[:], seq)
	m.hmac.Write(m.seq[:])
	m.hmac.Write(packet)
	m.out = m.hmac.Sum(m.out[:0])
	return hmac.Equal(m.out, tag)
}
