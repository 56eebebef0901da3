package packetio

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	//lint:ignore SA1019 OpenSSH's construction predates RFC 8439 and needs the bare authenticator.
	"golang.org/x/crypto/poly1305"
)

// chachaShort is the size in bytes, one block, up to which the plain stream is
// faster than the assembly behind chacha20poly1305.
const chachaShort = 64

// chachaCipher is chacha20-poly1305@openssh.com, OpenSSH PROTOCOL section 1.7.
// The nonce is the sequence number. The first key encrypts packet_length, the second
// key the rest; Poly1305, keyed by the first block of the second key's stream,
// covers both ciphertexts.
type chachaCipher struct {
	lengthKey, contentKey [32]byte
	content               cipher.AEAD              // by contentKey; see crypt
	nonce                 [chacha20.NonceSize]byte // of the packet under way, allocated once here
}

func newChaCha20Poly1305(key, _ []byte, _ *mac) (Cipher, error) {
	if len(key) != 64 {
		return nil, fmt.Errorf("transport: ChaCha20 key has %d bytes, not 64", len(key))
	}
	c := new(chachaCipher)
	copy(c.contentKey[:], key[:32])
	copy(c.lengthKey[:], key[32:])
	var err error
	c.content, err = chacha20poly1305.New(c.contentKey[:])
	return c, err
}

func (c *chachaCipher) block() (size, counted uint32) { return 8, 0 }
func (c *chachaCipher) tag() int                      { return poly1305.TagSize }
func (c *chachaCipher) prefix() int                   { return 4 }

// length leaves the prefix as it is: the tag covers it encrypted.
func (c *chachaCipher) length(seq uint32, prefix []byte) uint32 {
	var plain [4]byte
	copy(plain[:], prefix)
	c.cryptLength(seq, plain[:])
	return binary.BigEndian.Uint32(plain[:])
}

func (c *chachaCipher) open(seq uint32, frame []byte) error {
	n := len(frame) - poly1305.TagSize
	var tag [poly1305.TagSize]byte
	stream, key := c.begin(seq)
	poly1305.Sum(&tag, frame[:n], &key)
	if subtle.ConstantTimeCompare(tag[:], frame[n:]) != 1 {
		return errMAC
	}
	c.crypt(&stream, seq, frame[4:])
	return nil
}

func (c *chachaCipher) seal(seq uint32, frame []byte) {
	n := len(frame) - poly1305.TagSize
	stream, key := c.begin(seq)
	c.cryptLength(seq, frame[:4])
	c.crypt(&stream, seq, frame[4:])
	var tag [poly1305.TagSize]byte
	poly1305.Sum(&tag, frame[:n], &key)
	copy(frame[n:], tag[:])
}

// cryptLength encrypts or decrypts packet_length.
func (c *chachaCipher) cryptLength(seq uint32, b []byte) {
	nonce := chachaNonce(seq)
	s, err := chacha20.NewUnauthenticatedCipher(c.lengthKey[:], nonce[:])
	if err != nil {
		panic("transport: " + err.Error()) // the sizes are constants
	}
	s.XORKeyStream(b, b)
}

// begin returns the stream of the content, positioned at its second block, and
// the Poly1305 key that its first block gives. The stream is a value, so that
// nothing is allocated for each packet.
func (c *chachaCipher) begin(seq uint32) (stream chacha20.Cipher, key [32]byte) {
	nonce := chachaNonce(seq)
	s, err := chacha20.NewUnauthenticatedCipher(c.contentKey[:], nonce[:])
	if err != nil {
		panic("transport: " + err.Error()) // the sizes are constants
	}
	s.XORKeyStream(key[:], key[:])
	s.SetCounter(1)
	return *s, key
}

// crypt encrypts or decrypts b but for its last 16 bytes, the place of the tag, and may
// overwrite those.
//
// On amd64 chacha20poly1305 has assembly and chacha20 has none; elsewhere the plain
// stream is at least as fast. chacha20poly1305 has the same stream from the same block
// on, under a nonce of our choice, so its Seal gives our ciphertext, and, by XOR, our
// plaintext too. Its tag, over other bytes than OpenSSH's, is dropped.
func (c *chachaCipher) crypt(stream *chacha20.Cipher, seq uint32, b []byte) {
	n := len(b) - poly1305.TagSize
	if n <= chachaShort || runtime.GOARCH != "amd64" {
		stream.XORKeyStream(b[:n], b[:n])
		return
	}
	c.nonce = chachaNonce(seq)
	c.content.Seal(b[:0], c.nonce[:], b[:n], nil)
}

// chachaNonce is the sequence number as 64 bits behind 4 zero bytes: the same
// state as with OpenSSH's original 64-bit nonce and 64-bit block counter.
func chachaNonce(seq uint32) (nonce [chacha20.NonceSize]byte) {
	binary.BigEndian.PutUint32(nonce[8:], seq)
	return nonce
}
