package packetio

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// cipherMode says how to make a Cipher from derived keys.
type cipherMode struct {
	keyLen, ivLen int
	aead          bool // authenticates by itself, and needs no MAC
	make          func(key, iv []byte, mac *mac) (Cipher, error)
}

// cipherModes are the ciphers by their names. CBC, 3DES and RC4 are not implemented.
var cipherModes = map[string]*cipherMode{
	"aes128-gcm@openssh.com":        {16, 12, true, newGCM},
	"aes256-gcm@openssh.com":        {32, 12, true, newGCM},
	"chacha20-poly1305@openssh.com": {64, 0, true, newChaCha20Poly1305},
	"aes128-ctr":                    {16, 16, false, newCTR},
	"aes192-ctr":                    {24, 16, false, newCTR},
	"aes256-ctr":                    {32, 16, false, newCTR},
}

// HasCipher reports whether there is a cipher of that name.
func HasCipher(name string) bool { return cipherModes[name] != nil }

// HasMAC reports whether there is a MAC of that name.
func HasMAC(name string) bool { return macModes[name] != nil }

// IsAEAD reports whether the cipher of that name authenticates by itself: no MAC is
// negotiated then.
func IsAEAD(name string) bool { return cipherModes[name].aead }

// NewCipher returns the Cipher of that name, with the MAC of that name, which is
// empty for an AEAD cipher. iv, key and integrity derive the keys of RFC 4253 section
// 7.2, each of n bytes.
func NewCipher(name, macName string, iv, key, integrity func(n int) []byte) (Cipher, error) {
	mode := cipherModes[name]
	var m *mac
	if macName != "" {
		mm := macModes[macName]
		m = mm.new(integrity(mm.keyLen))
	}
	return mode.make(key(mode.keyLen), iv(mode.ivLen), m)
}

// gcmCipher is AES-GCM of RFC 5647, in the form of OpenSSH PROTOCOL section 1.6:
// packet_length is sent in clear, as additional data.
type gcmCipher struct {
	aead  cipher.AEAD
	nonce [12]byte // 4 bytes fixed, then the invocation counter
}

func newGCM(key, iv []byte, _ *mac) (Cipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	c := &gcmCipher{aead: aead}
	if copy(c.nonce[:], iv) != len(c.nonce) {
		return nil, fmt.Errorf("transport: GCM IV has %d bytes, not %d", len(iv), len(c.nonce))
	}
	return c, nil
}

func (c *gcmCipher) block() (size, counted uint32)         { return aes.BlockSize, 0 }
func (c *gcmCipher) tag() int                              { return c.aead.Overhead() }
func (c *gcmCipher) prefix() int                           { return 4 }
func (c *gcmCipher) length(_ uint32, prefix []byte) uint32 { return binary.BigEndian.Uint32(prefix) }

func (c *gcmCipher) open(_ uint32, frame []byte) error {
	_, err := c.aead.Open(frame[4:4], c.nonce[:], frame[4:], frame[:4])
	c.step()
	if err != nil {
		return errMAC
	}
	return nil
}

func (c *gcmCipher) seal(_ uint32, frame []byte) {
	c.aead.Seal(frame[4:4], c.nonce[:], frame[4:len(frame)-c.aead.Overhead()], frame[:4])
	c.step()
}

// step counts the invocation, RFC 5647 section 7.1.
func (c *gcmCipher) step() {
	n := c.nonce[4:]
	binary.BigEndian.PutUint64(n, binary.BigEndian.Uint64(n)+1)
}

// ctrCipher is AES in counter mode, RFC 4344 section 4, with a MAC: over the
// plaintext by RFC 4253 section 6.4, or over the ciphertext ("-etm") by
// OpenSSH PROTOCOL section 1.5, where packet_length is sent in clear.
type ctrCipher struct {
	stream cipher.Stream
	mac    *mac
}

func newCTR(key, iv []byte, m *mac) (Cipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &ctrCipher{stream: cipher.NewCTR(block, iv), mac: m}, nil
}

func (c *ctrCipher) block() (size, counted uint32) {
	if c.mac.etm {
		return aes.BlockSize, 0
	}
	return aes.BlockSize, 4
}

func (c *ctrCipher) tag() int { return c.mac.size() }

// prefix is a whole block where the length is encrypted: RFC 4253 section 6.
func (c *ctrCipher) prefix() int {
	if c.mac.etm {
		return 4
	}
	return aes.BlockSize
}

func (c *ctrCipher) length(_ uint32, prefix []byte) uint32 {
	if !c.mac.etm {
		c.stream.XORKeyStream(prefix, prefix)
	}
	return binary.BigEndian.Uint32(prefix)
}

func (c *ctrCipher) open(seq uint32, frame []byte) error {
	packet, tag := c.split(frame)
	if c.mac.etm {
		if !c.mac.verify(seq, packet, tag) {
			return errMAC
		}
		c.stream.XORKeyStream(packet[4:], packet[4:])
		return nil
	}
	rest := packet[aes.BlockSize:] // length has decrypted what is before
	c.stream.XORKeyStream(rest, rest)
	if !c.mac.verify(seq, packet, tag) {
		return errMAC
	}
	return nil
}

func (c *ctrCipher) seal(seq uint32, frame []byte) {
	packet, tag := c.split(frame)
	if c.mac.etm {
		c.stream.XORKeyStream(packet[4:], packet[4:])
		c.mac.sum(tag, seq, packet)
		return
	}
	c.mac.sum(tag, seq, packet)
	c.stream.XORKeyStream(packet, packet)
}

func (c *ctrCipher) split(frame []byte) (packet, tag []byte) {
	n := len(frame) - c.mac.size()
	return frame[:n], frame[n:]
}
