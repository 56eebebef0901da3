package hostfile

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
)

// hashMagic begins a hashed host name. The "1" stands for HMAC-SHA1, the only
// hash that OpenSSH has defined.
const hashMagic = "|1|"

// Names are the hosts of a line: the first field, or the second behind a marker.
type Names interface {
	// Match reports whether the line is about a host. name is an
	// [Address.Name].
	Match(name string) bool

	// complex reports whether there are more names than a host and an address.
	// ssh(1) neither writes nor removes lines with complex names.
	complex() bool
	// pair reports whether there are at least two names.
	pair() bool
}

// parseNames reads the names of a line. The result is never a nil pointer in an
// interface.
func parseNames(field string) (Names, error) {
	if strings.HasPrefix(field, "|") {
		h, err := parseHashedName(field)
		if err != nil {
			return nil, err
		}
		return h, nil
	}
	l, err := parsePatterns(field)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// hashedName is a host name for those who know the name already.
type hashedName struct {
	salt, sum [sha1.Size]byte
}

// parseHashedName reads "|1|salt|sum". A list of hashed names does not exist.
func parseHashedName(field string) (*hashedName, error) {
	encoded, ok := strings.CutPrefix(field, hashMagic)
	salt, sum, found := strings.Cut(encoded, "|")
	h := new(hashedName)
	if !ok || !found || !decodeSum(&h.salt, salt) || !decodeSum(&h.sum, sum) {
		return nil, fmt.Errorf("malformed hashed host name %s", Quote(field))
	}
	return h, nil
}

func decodeSum(dst *[sha1.Size]byte, encoded string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return err == nil && copy(dst[:], raw) == len(dst) && len(raw) == len(dst)
}

func (h *hashedName) Match(name string) bool {
	mac := hmac.New(sha1.New, h.salt[:])
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), h.sum[:])
}

func (h *hashedName) complex() bool { return false }
func (h *hashedName) pair() bool    { return false }

// hashName returns the hashed form of a name.
func hashName(name string) string {
	var salt [sha1.Size]byte
	_, _ = rand.Read(salt[:]) // never fails
	mac := hmac.New(sha1.New, salt[:])
	mac.Write([]byte(name))
	encode := base64.StdEncoding.EncodeToString
	return hashMagic + encode(salt[:]) + "|" + encode(mac.Sum(nil))
}

// Recordable reports whether a line that begins with a name means just that
// name: no marker, list, pattern or hash, and no second line. The name may be
// "[host]:port".
func Recordable(name string) bool {
	if host, port, ok := strings.Cut(strings.TrimPrefix(name, "["), "]:"); ok && name[0] == '[' {
		name = host + port
	}
	return name != "" && len(name) <= maxPattern-4 && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune(" @?*#[]|'\"\\!,", r)
	})
}
