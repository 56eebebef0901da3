package transport

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"encoding/binary"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// Key exchange methods by preference. SHA-1 and group 1 are not implemented.
var defaultKeyExchanges = []string{
	"mlkem768x25519-sha256",
	"curve25519-sha256",
	"curve25519-sha256@libssh.org",
	"ecdh-sha2-nistp256",
	"ecdh-sha2-nistp384",
	"ecdh-sha2-nistp521",
	"diffie-hellman-group16-sha512",
	"diffie-hellman-group18-sha512",
	"diffie-hellman-group14-sha256",
	"diffie-hellman-group-exchange-sha256",
}

// kexMethod is a key exchange method by its name on the wire.
type kexMethod struct {
	hash crypto.Hash
	new  func() kex
}

// kex is the client's side of one run of a method. It does no I/O: it makes
// the first message, and takes each answer of the server.
type kex interface {
	begin() (packet []byte, err error)
	// next returns either the packet to send now or the result.
	next(reply []byte) (packet []byte, result *kexResult, err error)
}

// kexResult is what a method yields.
type kexResult struct {
	hostKey   []byte // K_S
	signature []byte // over the exchange hash
	values    []byte // what the method adds to the exchange hash, as on the wire
	secret    []byte // K, as on the wire: mpint or string
}

// exchangeHash computes H, RFC 4253 section 8.
func (x *keyExchange) exchangeHash(clientVersion, serverVersion string) []byte {
	h := kexMethods[x.kex].hash.New()
	for _, s := range [][]byte{[]byte(clientVersion), []byte(serverVersion), x.clientInit, x.serverInit, x.result.hostKey} {
		h.Write(appendString(nil, s))
	}
	h.Write(x.result.values)
	h.Write(x.result.secret)
	return h.Sum(nil)
}

// derive computes n bytes of the key with that letter, RFC 4253 section 7.2.
func (x *keyExchange) derive(letter byte, n int) []byte {
	h := kexMethods[x.kex].hash.New()
	var key []byte
	for len(key) < n {
		h.Reset()
		h.Write(x.result.secret)
		h.Write(x.hash)
		if len(key) == 0 {
			h.Write([]byte{letter})
			h.Write(x.session)
		} else {
			h.Write(key)
		}
		key = h.Sum(key)
	}
	return key[:n]
}

// clientKeys makes the cipher of what we send.
func (x *keyExchange) clientKeys() (packetCipher, error) {
	return x.cipher(x.clientCipher, x.clientMAC, 'A', 'C', 'E')
}

// serverKeys makes the cipher of what we receive.
func (x *keyExchange) serverKeys() (packetCipher, error) {
	return x.cipher(x.serverCipher, x.serverMAC, 'B', 'D', 'F')
}

func (x *keyExchange) cipher(name, macName string, iv, key, integrity byte) (packetCipher, error) {
	mode := cipherModes[name]
	var m *mac
	if macName != "" {
		mm := macModes[macName]
		m = mm.new(x.derive(integrity, mm.keyLen))
	}
	return mode.make(x.derive(key, mode.keyLen), x.derive(iv, mode.ivLen), m)
}

// appendString appends s as an SSH string, RFC 4251 section 5.
func appendString(b, s []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendInt appends n as an SSH mpint.
func appendInt(b []byte, n *big.Int) []byte {
	return append(b, ssh.Marshal(struct{ N *big.Int }{n})...)
}

// appendIntBytes appends the number with these big-endian bytes as an mpint.
func appendIntBytes(b, n []byte) []byte {
	n = bytes.TrimLeft(n, "\x00")
	if len(n) > 0 && n[0]&0x80 != 0 {
		n = append([]byte{0}, n...)
	}
	return appendString(b, n)
}

// errKexReply wraps what Unmarshal says of a reply.
func errKexReply(p []byte, err error) error {
	return protocolErrorf("malformed key exchange reply, message %d: %v", p[0], err)
}
