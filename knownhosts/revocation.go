package knownhosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
)

// Revocations is a list of keys and certificates that must not be accepted, as
// RevokedHostKeys of ssh_config names it. It is a [Source] that wins over all
// others of a [Policy], and by itself accepts nothing. All its methods may be
// called concurrently.
type Revocations struct {
	keys map[string]Line // from text files, by wire form
	krls []*krl
}

// LoadRevocations reads files that either are key revocation lists, as
// ssh-keygen -k makes them, or have a public key on each line. Everything that
// cannot be read or understood is an error, a missing file included: without it
// a revocation would go unseen. Only what a KRL declares to be optional is
// passed over.
func LoadRevocations(files ...string) (*Revocations, error) {
	r := new(Revocations)
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("knownhosts: revocation list: %w", err)
		}
		if err := r.parse(name, data); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ParseRevocations is [LoadRevocations] for the content of a file. Errors call
// it name. It keeps a part of data, which must not change any more.
func ParseRevocations(name string, data []byte) (*Revocations, error) {
	r := new(Revocations)
	if err := r.parse(name, data); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Revocations) parse(name string, data []byte) error {
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		k, err := parseKRL(data)
		if err != nil {
			return fmt.Errorf("knownhosts: revocation list %s: %w", name, err)
		}
		k.name = name
		r.krls = append(r.krls, k)
		return nil
	}
	number := 0
	for text := range bytes.Lines(data) {
		number++
		if text = trimLine(text, number); len(text) == 0 || text[0] == '#' {
			continue
		}
		keyType, rest := cutField(string(text))
		encoded, _ := cutField(rest)
		key, err := parseAnyKey(keyType, encoded)
		if err != nil {
			return &LineError{File: name, Number: number, Err: err}
		}
		if r.keys == nil {
			r.keys = make(map[string]Line)
		}
		key = plainKey(key)
		r.keys[string(key.Marshal())] = Line{File: name, Number: number, Key: key}
	}
	return nil
}

// VerifyHostKey returns a [*KeyError]: of Kind [Revoked] if the key is on the
// list, or its certificate, or the key within it or the one that signed it, and
// else of Kind [Unknown].
func (r *Revocations) VerifyHostKey(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to verify")
	}
	refusal := r.revocation(key)
	if refusal == nil {
		refusal = &KeyError{Kind: Unknown}
	}
	refusal.Addr, refusal.Key = addr, key
	return refusal
}

func (r *Revocations) revocation(key ssh.PublicKey) *KeyError {
	checked := []ssh.PublicKey{plainKey(key)}
	cert, certified := key.(*ssh.Certificate)
	if certified {
		checked = append(checked, cert.SignatureKey)
	}
	for _, k := range checked {
		if l, ok := r.keys[string(k.Marshal())]; ok {
			return &KeyError{Kind: Revoked, Known: []Line{l}}
		}
		for _, list := range r.krls {
			if reason := list.revokes(k); reason != "" {
				return list.refusal(reason)
			}
		}
	}
	if certified {
		for _, list := range r.krls {
			if reason := list.revokesCertificate(cert); reason != "" {
				return list.refusal(reason)
			}
		}
	}
	return nil
}

func (k *krl) refusal(reason string) *KeyError {
	return &KeyError{Kind: Revoked, Err: fmt.Errorf("revocation list %s has %s", k.name, reason)}
}
