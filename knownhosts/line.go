package knownhosts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	markerAuthority = "@cert-authority"
	markerRevoked   = "@revoked"

	// separators stand between fields. Other white space, that of Unicode
	// included, is part of a field.
	separators = " \t"

	// hashMagic begins a hashed host name; "1" is HMAC-SHA1, the only kind
	// there is.
	hashMagic = "|1|"
)

// Line is a line of a known_hosts file that says something about a host.
type Line struct {
	File   string        // as it was named to [Load]
	Number int           // counted from 1; 0 for a line that is in no file
	Marker string        // "", "@cert-authority" or "@revoked"
	Key    ssh.PublicKey // never a certificate

	removable bool // ssh-keygen -R would remove it
}

// String returns the place of the line, and the type and SHA-256 fingerprint of
// its key.
func (l Line) String() string {
	return oneLine(position(l.File, l.Number) + ": " + describe(l.Key))
}

// line is a Line together with the names it is about, which may be hashed and
// so cannot always be shown.
type line struct {
	Line
	hosts matcher
}

// fields are those of a line that is neither blank nor a comment. What follows
// the key is a comment.
type fields struct{ marker, hosts, keyType, key string }

// matcher is the first field of a line.
type matcher interface {
	// match reports whether the line is about name, which is in lower case and
	// carries "[ ]:port" where that is due.
	match(name string) bool
}

// parseLine understands one line that is neither blank nor a comment.
func parseLine(text string) (line, error) {
	f, err := splitLine(text)
	if err != nil {
		return line{}, err
	}
	l := line{Line: Line{Marker: f.marker}}
	if l.Key, err = parseKey(f.keyType, f.key); err != nil {
		return line{}, err
	}
	if l.Marker == markerRevoked {
		l.Key = plainKey(l.Key)
		return l, nil // for all hosts, whatever its own are
	}
	if _, ok := l.Key.(*ssh.Certificate); ok {
		return line{}, errors.New("holds a certificate where a plain key is due")
	}
	l.hosts, err = parseHosts(f.hosts)
	return l, err
}

// splitLine takes a line apart. Everything doubtful is an error: read
// generously, "@rovoked * ssh-ed25519 …" would be a host name and trust what it
// means to ban.
func splitLine(text string) (f fields, err error) {
	if strings.IndexByte(text, 0) >= 0 {
		return f, errors.New("contains a NUL byte")
	}
	hosts, rest := cutField(text)
	if strings.HasPrefix(hosts, "@") {
		if hosts != markerAuthority && hosts != markerRevoked {
			return f, fmt.Errorf("unknown marker %s", quote(hosts))
		}
		f.marker = hosts
		if f.marker == markerAuthority && rest != "" && rest[0] == '\t' && strings.Contains(rest, " ") {
			return f, errors.New("has a tab behind its marker and spaces elsewhere, which ssh(1) does not take")
		}
		if hosts, rest = cutField(rest); strings.HasPrefix(hosts, "@") {
			return f, errors.New("more than one marker")
		}
	}
	f.hosts = hosts
	f.keyType, rest = cutField(rest)
	if f.key, _ = cutField(rest); f.key == "" {
		return f, errors.New("lacks a host name, a key type or a key")
	}
	return f, nil
}

// cutField returns the first field of s and what follows it.
func cutField(s string) (field, rest string) {
	s = strings.TrimLeft(s, separators)
	if i := strings.IndexAny(s, separators); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// parseKey decodes a key of a type that is supported.
func parseKey(keyType, encoded string) (ssh.PublicKey, error) {
	key, err := parseAnyKey(keyType, encoded)
	if err == nil && !supported(plainKey(key).Type()) {
		err = fmt.Errorf("key type %s is not supported", quote(keyType))
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// parseAnyKey decodes a key, which must be of the type that the line claims. The
// name of an algorithm that such a key is used with, "rsa-sha2-512" for one,
// says the same to OpenSSH.
func parseAnyKey(keyType, encoded string) (ssh.PublicKey, error) {
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("key of type %s is not base64", quote(keyType))
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("key of type %s is not understood: %s", quote(keyType), quote(err.Error()))
	}
	if key.Type() != keyType && !proves(key.Type(), keyType) {
		return nil, fmt.Errorf("key of type %s is said to be of type %s", key.Type(), quote(keyType))
	}
	return key, nil
}

func parseHosts(field string) (matcher, error) {
	if strings.HasPrefix(field, "|") {
		return parseHashedName(field)
	}
	return parsePatterns(field)
}

// hashedName is a host name that only those who know it can recognize.
type hashedName struct {
	salt, sum [sha1.Size]byte
}

func parseHashedName(field string) (*hashedName, error) {
	encoded, ok := strings.CutPrefix(field, hashMagic)
	salt, sum, found := strings.Cut(encoded, "|")
	h := new(hashedName)
	if !ok || !found || !decodeSum(&h.salt, salt) || !decodeSum(&h.sum, sum) {
		return nil, fmt.Errorf("malformed hashed host name %s", quote(field))
	}
	return h, nil
}

func decodeSum(dst *[sha1.Size]byte, encoded string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return err == nil && copy(dst[:], raw) == len(dst) && len(raw) == len(dst)
}

func (h *hashedName) match(name string) bool {
	mac := hmac.New(sha1.New, h.salt[:])
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), h.sum[:])
}

// hashName returns a name as a hashed one, which nobody reads from the file.
func hashName(name string) (field string, h *hashedName) {
	h = new(hashedName)
	_, _ = rand.Read(h.salt[:]) // never fails
	mac := hmac.New(sha1.New, h.salt[:])
	mac.Write([]byte(name))
	mac.Sum(h.sum[:0])
	encode := base64.StdEncoding.EncodeToString
	return hashMagic + encode(h.salt[:]) + "|" + encode(h.sum[:]), h
}
