// Package kex has the key exchange methods of SSH: Diffie-Hellman in fixed and in the
// server's groups, elliptic curves, and ML-KEM.
//
// A [Method] does no I/O. Package transport carries the messages, hashes the [Result]
// and verifies the host key's signature. Values of the server are checked before any
// computation with them.
package kex

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// A Method is the client's side of a run of a key exchange method: Begin makes the
// first message, and Next takes each answer of the server.
type Method interface {
	Begin() (packet []byte, err error)
	// Next returns either the packet to send now or the result. An error is the
	// server's violation of the protocol.
	Next(reply []byte) (packet []byte, result *Result, err error)
}

// Result is the result of a method.
type Result struct {
	HostKey   []byte // K_S
	Signature []byte // over the exchange hash
	Values    []byte // of the method, for the exchange hash, as on the wire
	Secret    []byte // K, as on the wire: mpint or string
}

// definition is a method before a run.
type definition struct {
	hash        crypto.Hash
	new         func() Method
	postQuantum bool
}

// methods are the methods by their names on the wire. SHA-1 and group 1 are not
// implemented.
var methods = map[string]definition{
	"mlkem768x25519-sha256":                newHybrid(mlkem768, ecdh.X25519(), crypto.SHA256),
	"mlkem768nistp256-sha256":              newHybrid(mlkem768, ecdh.P256(), crypto.SHA256),
	"mlkem1024nistp384-sha384":             newHybrid(mlkem1024, ecdh.P384(), crypto.SHA384),
	"sntrup761x25519-sha512":               newHybrid(sntrup, ecdh.X25519(), crypto.SHA512),
	"sntrup761x25519-sha512@openssh.com":   newHybrid(sntrup, ecdh.X25519(), crypto.SHA512),
	"curve25519-sha256":                    {hash: crypto.SHA256, new: newCurve(ecdh.X25519())},
	"curve25519-sha256@libssh.org":         {hash: crypto.SHA256, new: newCurve(ecdh.X25519())},
	"ecdh-sha2-nistp256":                   {hash: crypto.SHA256, new: newCurve(ecdh.P256())},
	"ecdh-sha2-nistp384":                   {hash: crypto.SHA384, new: newCurve(ecdh.P384())},
	"ecdh-sha2-nistp521":                   {hash: crypto.SHA512, new: newCurve(ecdh.P521())},
	"diffie-hellman-group14-sha256":        {hash: crypto.SHA256, new: newDH(group14, 512)},
	"diffie-hellman-group16-sha512":        {hash: crypto.SHA512, new: newDH(group16, 1024)},
	"diffie-hellman-group18-sha512":        {hash: crypto.SHA512, new: newDH(group18, 1024)},
	"diffie-hellman-group-exchange-sha256": {hash: crypto.SHA256, new: func() Method { return new(groupExchange) }},
}

// Has reports whether there is a method of that name.
func Has(name string) bool { return methods[name].new != nil }

// PostQuantum reports whether a quantum computer is no help against the method of that
// name, as far as is known.
func PostQuantum(name string) bool { return methods[name].postQuantum }

// New starts a run of the method of that name.
func New(name string) Method { return methods[name].new() }

// Hash returns the hash of the method of that name.
func Hash(name string) hash.Hash { return methods[name].hash.New() }

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

// errReply is the error of a reply that Unmarshal has refused.
func errReply(p []byte, err error) error {
	return fmt.Errorf("malformed key exchange reply, message %d: %v", p[0], err)
}
