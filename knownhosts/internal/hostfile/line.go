package hostfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// Markers of lines.
const (
	Authority = "@cert-authority"
	Revoked   = "@revoked"
)

// separators stand between fields. Other white space, also that of Unicode, is
// part of a field.
const separators = " \t"

// fields are the fields of a line that is neither blank nor a comment. Text
// behind the key is a comment.
type fields struct{ marker, names, keyType, key string }

// trimLine takes off the text around the fields of a line.
func trimLine(text []byte, number int) []byte {
	if number == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff")) // the byte order mark of some Windows editors
	}
	return bytes.Trim(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), separators)
}

// isBlank reports whether a trimmed line has no fields.
func isBlank(text []byte) bool { return len(text) == 0 || text[0] == '#' }

// parseLine reads a line that is neither blank nor a comment.
func parseLine(text string) (Line, error) {
	f, err := splitLine(text)
	if err != nil {
		return Line{}, err
	}
	l := Line{Marker: f.marker}
	if l.Key, err = parseKey(f.keyType, f.key); err != nil {
		return Line{}, err
	}
	l.Names, err = parseNames(f.names)
	if l.Marker == Revoked {
		l.Key = sshkey.Plain(l.Key)
		return l, nil // the key is revoked, whatever the names are
	}
	if _, ok := l.Key.(*ssh.Certificate); ok {
		return Line{}, errors.New("holds a certificate where a plain key is due")
	}
	return l, err
}

// splitLine takes a line apart. Everything doubtful is an error: read generously,
// "@rovoked * ssh-ed25519 …" would be a host name, and trust the key that the
// line means to ban.
func splitLine(text string) (f fields, err error) {
	if strings.IndexByte(text, 0) >= 0 {
		return f, errors.New("contains a NUL byte")
	}
	names, rest := cutField(text)
	if strings.HasPrefix(names, "@") {
		if names != Authority && names != Revoked {
			return f, fmt.Errorf("unknown marker %s", Quote(names))
		}
		f.marker = names
		if f.marker == Authority && rest != "" && rest[0] == '\t' && strings.Contains(rest, " ") {
			return f, errors.New("has a tab behind its marker and spaces elsewhere, which ssh(1) does not take")
		}
		if names, rest = cutField(rest); strings.HasPrefix(names, "@") {
			return f, errors.New("more than one marker")
		}
	}
	f.names = names
	f.keyType, rest = cutField(rest)
	if f.key, _ = cutField(rest); f.key == "" {
		return f, errors.New("lacks a host name, a key type or a key")
	}
	return f, nil
}

// cutField returns the first field of s and the text behind.
func cutField(s string) (field, rest string) {
	s = strings.TrimLeft(s, separators)
	if i := strings.IndexAny(s, separators); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// parseKey decodes a key, or the certificate of a key, of a type for hosts.
func parseKey(keyType, encoded string) (ssh.PublicKey, error) {
	key, err := parseAnyKey(keyType, encoded)
	if err != nil {
		return nil, err
	}
	if _, ok := sshkey.HostType(sshkey.Plain(key).Type()); !ok {
		return nil, fmt.Errorf("key type %s is not supported", Quote(keyType))
	}
	return key, nil
}

// parseAnyKey decodes a key of the claimed type. As in OpenSSH, the name of a
// signature algorithm, "rsa-sha2-512" for one, stands for the type of its keys.
func parseAnyKey(keyType, encoded string) (ssh.PublicKey, error) {
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("key of type %s is not base64", Quote(keyType))
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("key of type %s is not understood: %s", Quote(keyType), Quote(err.Error()))
	}
	if key.Type() != keyType && !slices.Contains(sshkey.Signatures(key.Type()), keyType) {
		return nil, fmt.Errorf("the line names %s, the key is %s", Quote(keyType), key.Type())
	}
	return key, nil
}

// index returns the place of the first line with a key, or -1.
func index(lines []Line, key ssh.PublicKey) int {
	return slices.IndexFunc(lines, func(l Line) bool { return sshkey.Equal(l.Key, key) })
}
