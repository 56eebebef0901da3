package packetio

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Ciphers and MACs are all names.
var (
	Ciphers = []string{
		"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com",
		"aes256-ctr", "aes192-ctr", "aes128-ctr",
	}
	MACs = []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"}
)

// ChaChaShort is the size at which ChaCha20 changes its implementation.
const ChaChaShort = chachaShort

// Packets is a Writer and a Reader with the same keys.
type Packets struct {
	w Writer
	r Reader
}

// keys derives fixed keys for tests.
func keys(letter byte) func(n int) []byte {
	return func(n int) []byte { return bytes.Repeat([]byte{letter}, n) }
}

// NewPackets returns the two directions under fixed keys, or in clear when cipher is
// empty. The reader reads from c.
func NewPackets(cipher, mac string, c net.Conn) *Packets {
	p := new(Packets)
	p.w.Init(c)
	p.r.Init(c, 35000)
	p.w.Borrow()
	if cipher == "" {
		return p
	}
	if IsAEAD(cipher) {
		mac = ""
	}
	for _, set := range []func(Cipher, bool){p.w.SetCipher, p.r.SetCipher} {
		c, err := NewCipher(cipher, mac, keys('A'), keys('C'), keys('E'))
		if err != nil {
			panic(err)
		}
		set(c, true)
	}
	return p
}

// Key returns a cipher's key of n bytes.
func (p *Packets) Key(n int) []byte { return keys('C')(n) }

// Integrity returns a MAC's key of n bytes.
func (p *Packets) Integrity(n int) []byte { return keys('E')(n) }

// Decrypt returns the plaintext of the packet with that sequence number, encrypted with
// aes128-ctr, when all packets had the same size.
func (p *Packets) Decrypt(seq uint32, packet []byte) []byte {
	block, err := aes.NewCipher(keys('C')(16))
	if err != nil {
		panic(err)
	}
	stream := cipher.NewCTR(block, keys('A')(16))
	plain := make([]byte, len(packet))
	for range seq + 1 {
		stream.XORKeyStream(plain, packet)
	}
	return plain
}

// Seal returns the binary packet of a payload, valid until the next call.
func (p *Packets) Seal(payload []byte) []byte {
	*p.w.buf = (*p.w.buf)[:0]
	if err := p.w.Seal(payload); err != nil {
		panic(err)
	}
	return *p.w.buf
}

// Write seals payloads and writes them out.
func (p *Packets) Write(payloads ...[]byte) error {
	for _, payload := range payloads {
		if err := p.w.Seal(payload); err != nil {
			return err
		}
	}
	return p.w.Flush()
}

// SealFrame seals a frame with any packet_length.
func (p *Packets) SealFrame(length uint32, body []byte) []byte {
	frame := append(binary.BigEndian.AppendUint32(nil, length), body...)
	frame = append(frame, make([]byte, p.w.cipher.tag())...)
	p.w.cipher.seal(p.w.seq, frame)
	p.w.seq++
	return bytes.Clone(frame)
}

// Open returns the payload of the next packet that the reader gets.
func (p *Packets) Open() ([]byte, error) { return p.r.Next() }

// Idle makes the reader look for more and find nothing, as a reader does that has to
// wait.
func (p *Packets) Idle() error {
	b := &p.r.receiveBuffer
	if b.raw == nil {
		if err := b.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return err
		}
		if _, err := p.Open(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("something has come, or the connection has ended: %v", err)
		}
		return b.conn.SetReadDeadline(time.Time{})
	}
	b.start, b.end, b.need = 0, 0, 1
	found := false
	err := b.raw.Read(func(fd uintptr) bool {
		found = b.tryReceive(fd)
		return true
	})
	if found {
		return fmt.Errorf("something has come, or the connection has ended: %v", b.err)
	}
	return err
}

// Line returns the next line that the reader gets.
func (p *Packets) Line(most int) (string, error) { return p.r.Line(most) }

// Total returns how much the reader has got.
func (p *Packets) Total() Usage { return p.r.Total() }

// Allow sets the largest packet_length that the reader takes.
func (p *Packets) Allow(most uint32) { p.r.max = most }

// Notify sets a function to be called before each read from below.
func (p *Packets) Notify(f func()) { p.r.NotifyWait(f) }

// Held returns how large the reader's buffer is.
func (p *Packets) Held() int { return len(p.r.buf) }

// ReceiveSizes are the sizes of receive buffers.
var ReceiveSizes = receiveSizes

// Pauses counts the pauses before the reads of a socket. read tells what each read
// brings.
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
