package knownhosts

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/ssh"
)

// krlMagic begins a key revocation list, OpenSSH PROTOCOL.krl section 1.
const krlMagic = "SSHKRL\n\x00"

const krlVersion = 1

// Sections of a list, and below those of its certificates section.
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

// krl is a key revocation list. Serial numbers stay as they are in the file, so
// that it takes no more memory than that; a look-up reads them all.
type krl struct {
	name         string
	keys         map[string]bool // wire form
	sha1, sha256 map[string]bool // of the wire form
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

type serialRange struct{ min, max uint64 }

type serialBitmap struct {
	offset uint64
	bits   []byte // big endian, as an mpint
}

// krlReader reads the fields of RFC 4251 section 5. After the first error it
// returns nothing.
type krlReader struct {
	data []byte
	err  error
}

var errTruncated = errors.New("it is truncated")

// more tells whether a list of fields goes on.
func (r *krlReader) more() bool { return r.err == nil && len(r.data) > 0 }

// next takes n bytes, which stay part of the file. The length comes from the
// file, too, and is compared before anything is done with it.
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

func (r *krlReader) string() []byte { return r.next(uint64(r.uint32())) }

func (r *krlReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// parseKRL understands a list that begins with krlMagic. It is a list of a
// trusted file: signatures must be right where there are some, and nobody asks
// by whom, as in OpenSSH before 9.4; later ones refuse them.
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
		// Everything up to here, the key of this signature included.
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
		return nil, fmt.Errorf("key of its signature: %s", quote(err.Error()))
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(signature, &s); err != nil {
		return nil, fmt.Errorf("its signature: %s", quote(err.Error()))
	}
	if s.Format == ssh.KeyAlgoRSA { // x/crypto would verify it
		return nil, errors.New("its signature is made with SHA-1")
	}
	if err := key.Verify(signed, &s); err != nil {
		return nil, fmt.Errorf("its signature is wrong: %s", quote(err.Error()))
	}
	return key, nil
}

// checkSigners wants one that the list itself does not revoke.
func (k *krl) checkSigners(signers []ssh.PublicKey) error {
	seen := make(map[string]bool)
	good := len(signers) == 0
	for _, key := range signers {
		blob := string(key.Marshal())
		if seen[blob] {
			return errors.New("it is signed twice with one key")
		}
		seen[blob] = true
		good = good || k.revokes(plainKey(key)) == ""
	}
	if !good {
		return errors.New("it revokes the keys that have signed it")
	}
	return nil
}

// parseSection reads all but signatures. A section that is not understood may
// revoke anything, so the list is of no use without it.
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

// strings reads strings of a certain size, or, if that is 0, of any.
func (r *krlReader) strings(set map[string]bool, size int) error {
	for r.more() {
		s := r.string()
		if r.err == nil && size > 0 && len(s) != size {
			return fmt.Errorf("hash of %d bytes instead of %d", len(s), size)
		}
		set[string(s)] = r.err == nil
	}
	return r.err
}

// extension passes over what nobody has to understand.
func (r *krlReader) extension() error {
	name, critical := r.string(), r.byte()
	r.string() // its contents
	switch {
	case r.err != nil:
		return r.err
	case len(r.data) > 0:
		return errors.New("extension with data behind it")
	case critical != 0:
		return fmt.Errorf("critical extension %s is not supported", quote(string(name)))
	}
	return nil
}

// parseCertificates reads OpenSSH PROTOCOL.krl section 2.
func (k *krl) parseCertificates(r *krlReader) error {
	c := krlCertificate{authority: r.string(), keyIDs: map[string]bool{}}
	r.string() // reserved
	if r.err == nil && len(c.authority) > 0 {
		if _, err := ssh.ParsePublicKey(bytes.Clone(c.authority)); err != nil {
			return fmt.Errorf("key of an authority is not understood: %s", quote(err.Error()))
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

// parseSection refuses what OpenSSH refuses: serial number 0 stands for no
// number, and cannot be revoked.
func (c *krlCertificate) parseSection(section byte, r *krlReader) error {
	switch section {
	case krlSerialList:
		for serials := *r; serials.more(); {
			if serials.uint64() == 0 {
				r.fail(errors.New("serial number 0, or half of one"))
			}
		}
		c.lists = append(c.lists, r.data)
		return r.err
	case krlSerialRange:
		s := serialRange{min: r.uint64(), max: r.uint64()}
		if r.err == nil && (s.min == 0 || s.min > s.max) {
			return fmt.Errorf("serial numbers from %d to %d are no range", s.min, s.max)
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
		return errors.New("section with data behind it")
	}
	return r.err
}

// parseBitmap leaves the bits packed: one bitmap may stand for 16 million
// serial numbers.
func (c *krlCertificate) parseBitmap(r *krlReader) error {
	b := serialBitmap{offset: r.uint64(), bits: r.string()}
	switch {
	case r.err != nil:
		return r.err
	case len(r.data) > 0:
		return errors.New("bitmap with data behind it")
	case len(b.bits) > 0 && b.bits[0]&0x80 != 0:
		return errors.New("bitmap is a negative number")
	}
	b.bits = bytes.TrimLeft(b.bits, "\x00")
	if len(b.bits) > maxBitmap {
		return fmt.Errorf("bitmap of more than %d bytes", maxBitmap)
	}
	if len(b.bits) == 0 {
		return nil
	}
	last := 8*uint64(len(b.bits)-1) + uint64(bits.Len8(b.bits[0])) - 1
	if b.offset+last < b.offset || b.offset == 0 && b.has(0) {
		return errors.New("bitmap with serial numbers that there are not")
	}
	c.bitmaps = append(c.bitmaps, b)
	return nil
}

func (b serialBitmap) has(serial uint64) bool {
	n := serial - b.offset // wraps where it does not count
	size := uint64(len(b.bits))
	return serial >= b.offset && n/8 < size && b.bits[size-1-n/8]>>(n%8)&1 != 0
}

// revokes returns what of the list a plain key is, or "".
func (k *krl) revokes(key ssh.PublicKey) string {
	blob := key.Marshal()
	legacy, current := sha1.Sum(blob), sha256.Sum256(blob)
	if k.keys[string(blob)] || k.sha1[string(legacy[:])] || k.sha256[string(current[:])] {
		return "the key " + describe(key)
	}
	return ""
}

// revokesCertificate looks at what the authority has called it. Serial number 0
// stands for none.
func (k *krl) revokesCertificate(cert *ssh.Certificate) string {
	authority := cert.SignatureKey.Marshal()
	for _, c := range k.certificates {
		switch {
		case len(c.authority) > 0 && !bytes.Equal(c.authority, authority):
		case c.keyIDs[cert.KeyId]:
			return "the certificate by its key ID " + quote(cert.KeyId)
		case cert.Serial != 0 && c.has(cert.Serial):
			return fmt.Sprintf("the certificate by its serial number %d", cert.Serial)
		}
	}
	return ""
}

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
