package hostfile

import (
	"bytes"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// RevocationList is the content of a file for RevokedHostKeys: a key revocation
// list, or a public key on each line.
type RevocationList struct {
	name string
	keys map[string]Line // of a text file, by wire form
	krl  *krl            // nil for a text file
}

// Revocation is the entry of a list that revokes a key.
type Revocation struct {
	Line   Line   // of a text file; the zero Line for a KRL
	Reason string // says which entry of the KRL has revoked the key; "" for a text file
}

// ParseRevocationList reads the content of a file with a name. The list keeps
// parts of data, which must not change any more. Everything that is not
// understood is an error, except for the optional parts of a KRL.
func ParseRevocationList(name string, data []byte) (*RevocationList, error) {
	r := &RevocationList{name: name}
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		k, err := parseKRL(data)
		if err != nil {
			return nil, fmt.Errorf("revocation list %s: %w", name, err)
		}
		r.krl = k
		return r, nil
	}
	r.keys = make(map[string]Line)
	number := 0
	for text := range bytes.Lines(data) {
		number++
		text = trimLine(text, number)
		if isBlank(text) {
			continue
		}
		keyType, rest := cutField(string(text))
		encoded, _ := cutField(rest)
		key, err := parseAnyKey(keyType, encoded)
		if err != nil {
			return nil, &LineError{File: name, Number: number, Err: err}
		}
		key = sshkey.Plain(key)
		r.keys[string(key.Marshal())] = Line{File: name, Number: number, Key: key}
	}
	return r, nil
}

// Find returns the entry that revokes a key. A certificate is revoked by an entry
// for the certificate, for the key within, or for its authority.
func (r *RevocationList) Find(key ssh.PublicKey) (found Revocation, ok bool) {
	cert, certified := key.(*ssh.Certificate)
	if !certified {
		return r.find(key)
	}
	if found, ok = r.find(cert.Key); ok {
		return found, true
	}
	if found, ok = r.find(cert.SignatureKey); ok || r.krl == nil {
		return found, ok
	}
	return r.because(r.krl.revokesCertificate(cert))
}

// find returns the entry that revokes a plain key.
func (r *RevocationList) find(key ssh.PublicKey) (found Revocation, ok bool) {
	if r.krl != nil {
		return r.because(r.krl.revokes(key))
	}
	l, ok := r.keys[string(key.Marshal())]
	return Revocation{Line: l}, ok
}

// because returns a Revocation for an entry in words; "" is no entry.
func (r *RevocationList) because(entry string) (found Revocation, ok bool) {
	if entry == "" {
		return Revocation{}, false
	}
	return Revocation{Reason: fmt.Sprintf("revocation list %s has %s", r.name, entry)}, true
}
