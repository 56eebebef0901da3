package transport

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"net"
)

// The names of what the packet tests go through.
var (
	Ciphers = defaultCiphers
	MACs    = defaultMACs

	KeyExchanges      = defaultKeyExchanges
	HostKeyAlgorithms = defaultHostKeyAlgorithms
)

// ChaChaShort is where ChaCha20 changes from one implementation to another.
const ChaChaShort = chachaShort

// Packets is one direction of a connection without the handshake: a writer
// and a reader with the same keys.
type Packets struct {
	w   writeHalf
	r   readHalf
	buf []byte
	key []byte
}

// NewPackets returns the packet layer under fixed keys, or in clear when
// cipher is empty. The reader reads from c.
func NewPackets(cipher, mac string, c net.Conn) *Packets {
	p := new(Packets)
	p.w.init(c)
	p.r.init(c, defaultMaxPacket)
	p.w.buf = &p.buf
	if cipher == "" {
		return p
	}
	if cipherModes[cipher].aead {
		mac = ""
	}
	x := &keyExchange{
		algorithms: &algorithms{kex: "curve25519-sha256", clientCipher: cipher, clientMAC: mac},
		result:     &kexResult{secret: []byte("secret")},
		hash:       []byte("hash"), session: []byte("session"),
	}
	for _, to := range []*packetCipher{&p.w.cipher, &p.r.cipher} {
		var err error
		if *to, err = x.clientKeys(); err != nil {
			panic(err)
		}
	}
	p.key = x.derive('C', cipherModes[cipher].keyLen)
	return p
}

// Key returns the key of the cipher.
func (p *Packets) Key() []byte { return p.key }

// Seal returns the binary packet of a payload, valid until the next call.
func (p *Packets) Seal(payload []byte) []byte {
	p.buf = p.buf[:0]
	if err := p.w.seal(payload, nil); err != nil {
		panic(err)
	}
	return p.buf
}

// Write seals payloads and writes them out, as WritePackets does.
func (p *Packets) Write(payloads ...[]byte) error {
	for _, payload := range payloads {
		if err := p.w.seal(payload, nil); err != nil {
			return err
		}
	}
	return p.w.flush()
}

// SealFrame seals a frame that says it has that length.
func (p *Packets) SealFrame(length uint32, body []byte) []byte {
	frame := append(binary.BigEndian.AppendUint32(nil, length), body...)
	frame = append(frame, make([]byte, p.w.cipher.tag())...)
	p.w.cipher.seal(p.w.seq, frame)
	p.w.seq++
	return bytes.Clone(frame)
}

// Open returns the payload of the next packet that the reader gets.
func (p *Packets) Open() ([]byte, error) { return p.r.next() }

// Allow sets the largest packet_length that the reader takes.
func (p *Packets) Allow(most uint32) { p.r.max = most }

// Notify has f called before each read from below.
func (p *Packets) Notify(f func()) { p.r.waiting = f }

// Held returns how large the reader's buffer is.
func (p *Packets) Held() int { return len(p.r.buf) }

// ReceiveSizes are the sizes of receive buffers.
var ReceiveSizes = receiveSizes

// Group returns a group of RFC 3526 by its name in RFC 8268.
func Group(name string) (p, g *big.Int) {
	group := map[string]func() *dhGroup{"group14": group14, "group16": group16, "group18": group18}[name]()
	return group.p, group.g
}

// Pauses counts the pauses before the reads of a socket, of which read tells
// what it brings.
func Pauses(reads int, read func(paused bool) int) (pauses int) {
	var p pacer
	for range reads {
		paused := p.due()
		if paused {
			pauses++
		}
		p.note(read(paused), paused)
	}
	return pauses
}

// Left tells whether something waits for the next write, with a buffer of its own.
func (c *Conn) Left() bool {
	<-c.w.lock
	defer func() { c.w.lock <- struct{}{} }()
	return c.w.left != nil
}
