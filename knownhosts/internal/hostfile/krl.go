package hostfile

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// krlMagic begins a key revocation list, OpenSSH PROTOCOL.krl section 1.
const krlMagic = "SSHKRL\n\x00"

const krlVersion = 1

// Sections of a list, and the sections of its certificates section.
const (
	krlCertificates      = 1
	krlExplicitKey       = 2
	krlFingerprintSHA1   = 3
	krlSignature         = 4
	krlFingerprintSHA256 = 5
	krlExtension         = 255

	krlSerialList    = 0x20
	krlSerialRange   = 0x21
	krlSerialBitmap  = 0x22
	krlKeyID         = 0x23
	krlCertExtension = 0x39
)

// maxBitmap is OpenSSH's bound on one bitmap of serial numbers, in bytes.
const maxBitmap = 1 << 21

// krl is a key revocation list. Serial numbers stay in the form of the file, so
// that the list takes no more memory than the file. A look-up reads all numbers.
type krl struct {
	keys         map[string]bool // in wire form
	sha1, sha256 map[string]bool // hashes of the wire form
	certificates []krlCertificate
}

// krlCertificate revokes certificates of one authority, or of all.
type krlCertificate struct {
	authority []byte // wire form; empty: all
	lists     [][]byte
	ranges    []serialRange
	bitmaps   []serialBitmap
	keyIDs    map[string]bool
}

// serialRange is a range of serial numbers, both ends included.
type serialRange struct{ min, max uint64 }

// serialBitmap has a bit for each serial number from offset on.
type serialBitmap struct {
	offset uint64
	bits   []byte // big endian, as an mpint
}

// krlReader reads the fields of RFC 4251 section 5. After the first error all
// fields are empty.
type krlReader struct {
	data []byte
	err  error
}

var errTruncated = errors.New("list is truncated")

// more reports whether a list of fields goes on.
func (r *krlReader) more() bool { return r.err == nil && len(r.data) > 0 }

// next takes n bytes, which stay part of the file's content. The length is the
// file's, too, so next compares before any other use.
func (r *krlReader) next(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.data)) {
		if r.err == nil {
			r.err = errTruncated
		}
		return nil
	}
	field := r.data[:n]
	r.data = r.data[n:]
	return field
}

func (r *krlReader) byte() byte {
	if b := r.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *krlReader) uint32() uint32 {
	if b := r.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *krlReader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// string takes a length and as many bytes.
func (r *krlReader) string() []byte { return r.next(uint64(r.uint32())) }

// fail sets the first error.
func (r *krlReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// parseKRL reads a list that begins with krlMagic. The file is trusted:
// signatures must be right where there are some, and nobody asks whose
// signatures, as in OpenSSH before 9.4. Later versions refuse signed lists.
func parseKRL(data []byte) (*krl, error) {
	k := &krl{keys: map[string]bool{}, sha1: map[string]bool{}, sha256: map[string]bool{}}
	r := &krlReader{data: data}
	r.next(uint64(len(krlMagic)))
	if version := r.uint32(); r.err == nil && version != krlVersion {
		return nil, fmt.Errorf("format version %d is not supported", version)
	}
	r.next(3 * 8)                 // version, date, flags
	_, _ = r.string(), r.string() // reserved, comment
	var signers []ssh.PublicKey
	for r.more() {
		section := r.byte()
		body := r.string()
		if len(signers) > 0 && section != krlSignature {
			r.fail(errors.New("a section follows its signature"))
		}
		if r.err != nil {
			break
		}
		if section != krlSignature {
			r.fail(k.parseSection(section, body))
			continue
		}
		// A signature covers all before, its own key included.
		signed := data[:len(data)-len(r.data)]
		key, err := verifyKRL(body, r.string(), signed)
		r.fail(err)
		signers = append(signers, key)
	}
	if r.err != nil {
		return nil, r.err
	}
	return k, k.checkSigners(signers)
}

// verifyKRL checks one signature.
func verifyKRL(blob, signature, signed []byte) (ssh.PublicKey, error) {
	key, err := ssh.ParsePublicKey(bytes.Clone(blob))
	if err != nil {
		return nil, fmt.Errorf("key of the signature is not understood: %s", Quote(err.Error()))
	}
	if err := sshkey.Verify(key, sshkey.Signatures(key.Type()), signed, signature); err != nil {
		return nil, fmt.Errorf("signature of the list is not valid: %s", Quote(err.Error()))
	}
	return key, nil
}

// checkSigners wants a signer whom the list itself does not revoke.
func (k *krl) checkSigners(signers []ssh.PublicKey) error {
	seen := make(map[string]bool)
	good := len(signers) == 0
	for _, key := range signers {
		blob := string(key.Marshal())
		if seen[blob] {
			return errors.New("list is signed twice with one key")
		}
		seen[blob] = true
		good = good || k.revokes(sshkey.Plain(key)) == ""
	}
	if !good {
		return errors.New("list revokes all keys that have signed the list")
	}
	return nil
}

// parseSection reads all sections but signatures. A section of an unknown type
// may revoke anything, so a list with an unknown section is of no use.
func (k *krl) parseSection(section byte, body []byte) error {
	r := &krlReader{data: body}
	switch section {
	case krlCertificates:
		return k.parseCertificates(r)
	case krlExplicitKey:
		return r.strings(k.keys, 0)
	case krlFingerprintSHA1:
		return r.strings(k.sha1, sha1.Size)
	case krlFingerprintSHA256:
		return r.strings(k.sha256, sha256.Size)
	case krlExtension:
		return r.extension()
	}
	return fmt.Errorf("section of type %d is not supported", section)
}

// strings reads strings of a size, or of any size for 0.
func (r *krlReader) strings(set map[string]bool, size int) error {
	for r.more() {
		s := r.string()
		if r.err == nil && size > 0 && len(s) != size {
			return fmt.Errorf("hash has %d bytes instead of %d", len(s), size)
		}
		set[string(s)] = r.err == nil
	}
	return r.err
}

// extension passes over an extension, unless the extension is critical.
func (r *krlReader) extension() error {
	name, critical := r.string(), r.byte()
	r.string() // contents
	switch {
	case r.err != nil:
		return r.err
	case len(r.data) > 0:
		return errors.New("extension has data behind its contents")
	case critical != 0:
		return fmt.Errorf("critical extension %s is not supported", Quote(string(name)))
	}
	return nil
}

// parseCertificates reads OpenSSH PROTOCOL.krl section 2.
func (k *krl) parseCertificates(r *krlReader) error {
	c := krlCertificate{authority: r.string(), keyIDs: map[string]bool{}}
	r.string() // reserved
	if r.err == nil && len(c.authority) > 0 {
		if _, err := ssh.ParsePublicKey(bytes.Clone(c.authority)); err != nil {
			return fmt.Errorf("key of an authority is not understood: %s", Quote(err.Error()))
		}
	}
	for r.more() {
		section := r.byte()
		body := &krlReader{data: r.string()}
		if r.err == nil {
			r.fail(c.parseSection(section, body))
		}
	}
	k.certificates = append(k.certificates, c)
	return r.err
}

// parseSection refuses the same sections as OpenSSH. Serial number 0 stands for
// no number, and cannot be revoked.
func (c *krlCertificate) parseSection(section byte, r *krlReader) error {
	switch section {
	case krlSerialList:
		for serials := *r; serials.more(); {
			if serials.uint64() == 0 {
				r.fail(errors.New("serial number is 0, or cut off"))
			}
		}
		c.lists = append(c.lists, r.data)
		return r.err
	case krlSerialRange:
		s := serialRange{min: r.uint64(), max: r.uint64()}
		if r.err == nil && (s.min == 0 || s.min > s.max) {
			return fmt.Errorf("range of serial numbers from %d to %d runs backwards, or begins at 0", s.min, s.max)
		}
		c.ranges = append(c.ranges, s)
	case krlSerialBitmap:
		return c.parseBitmap(r)
	case krlKeyID:
		return r.strings(c.keyIDs, 0)
	case krlCertExtension:
		return r.extension()
	default:
		return fmt.Errorf("certificates section of type %#x is not supported", section)
	}
	if r.err == nil && len(r.data) > 0 {
		return errors.New("section has data behind its fields")
	}
	return r.err
}

// parseBitmap leaves the bits packed: one bitmap may stand for 16 million serial
// numbers.
func (c *krlCertificate) parseBitmap(r *krlReader) error {
	b := serialBitmap{offset: r.uint64(), bits: r.string()}
	switch {
	case r.err != nil:
		return r.err
	case len(r.data) > 0:
		return errors.New("bitmap has data behind its fields")
	case len(b.bits) > 0 && b.bits[0]&0x80 != 0:
		return errors.New("bitmap is a negative number")
	}
	b.bits = bytes.TrimLeft(b.bits, "\x00")
	if len(b.bits) > maxBitmap {
		return fmt.Errorf("bitmap has more than %d bytes", maxBitmap)
	}
	if len(b.bits) == 0 {
		return nil
	}
	last := 8*uint64(len(b.bits)-1) + uint64(bits.Len8(b.bits[0])) - 1
	if b.offset+last < b.offset || b.offset == 0 && b.has(0) {
		return errors.New("bitmap has serial numbers out of range")
	}
	c.bitmaps = append(c.bitmaps, b)
	return nil
}

// has reports whether the bit of a serial number is set.
func (b serialBitmap) has(serial uint64) bool {
	n := serial - b.offset // wraps below the offset, where the next line is false
	size := uint64(len(b.bits))
	return serial >= b.offset && n/8 < size && b.bits[size-1-n/8]>>(n%8)&1 != 0
}

// revokes returns the entry of the list that revokes a plain key, in words, or
// "".
func (k *krl) revokes(key ssh.PublicKey) string {
	blob := key.Marshal()
	legacy, current := sha1.Sum(blob), sha256.Sum256(blob)
	if k.keys[string(blob)] || k.sha1[string(legacy[:])] || k.sha256[string(current[:])] {
		return "the key " + sshkey.Describe(key)
	}
	return ""
}

// revokesCertificate returns the entry of the list that revokes a certificate by
// its authority, number or key ID, in words, or "".
func (k *krl) revokesCertificate(cert *ssh.Certificate) string {
	authority := cert.SignatureKey.Marshal()
	for _, c := range k.certificates {
		switch {
		case len(c.authority) > 0 && !bytes.Equal(c.authority, authority):
		case c.keyIDs[cert.KeyId]:
			return "the certificate by its key ID " + Quote(cert.KeyId)
		case cert.Serial != 0 && c.has(cert.Serial):
			return fmt.Sprintf("the certificate by its serial number %d", cert.Serial)
		}
	}
	return ""
}

// has reports whether a serial number is revoked in any form.
func (c *krlCertificate) has(serial uint64) bool {
	for _, list := range c.lists {
		for ; len(list) >= 8; list = list[8:] {
			if binary.BigEndian.Uint64(list) == serial {
				return true
			}
		}
	}
	for _, s := range c.ranges {
		if s.min <= serial && serial <= s.max {
			return true
		}
	}
	for _, b := range c.bitmaps {
		if b.has(serial) {
			return true
		}
	}
	return false
}
