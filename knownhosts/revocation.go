package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// Revocations are keys and certificates that must not be accepted, as
// RevokedHostKeys of ssh_config names them. Revocations are a [Source] that wins
// over all others of a [Policy], and accepts nothing. All methods may be called
// concurrently.
type Revocations struct {
	lists []*hostfile.RevocationList
}

// LoadRevocations reads files that are key revocation lists, as ssh-keygen -k
// makes them, or have a public key on each line. Everything that cannot be read
// or understood is an error, a missing file included, because a revocation could
// go unseen. Only the optional parts of a key revocation list are passed over.
func LoadRevocations(files ...string) (*Revocations, error) {
	r := new(Revocations)
	for _, name := range files {
		data, err := hostfile.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("knownhosts: revocation list: %w", err)
		}
		if err := r.parse(name, data); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ParseRevocations is [LoadRevocations] for the content of a file with a name.
// The result keeps parts of data, which must not change any more.
func ParseRevocations(name string, data []byte) (*Revocations, error) {
	r := new(Revocations)
	if err := r.parse(name, data); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Revocations) parse(name string, data []byte) error {
	list, err := hostfile.ParseRevocationList(name, data)
	if line := (*hostfile.LineError)(nil); errors.As(err, &line) {
		return newLineError(line)
	}
	if err != nil {
		return fmt.Errorf("knownhosts: %w", err)
	}
	r.lists = append(r.lists, list)
	return nil
}

// VerifyHostKey returns a [*KeyError]: of Kind [Revoked] if an entry revokes the
// key, the certificate, the key within the certificate or the authority, and
// otherwise of Kind [Unknown].
func (r *Revocations) VerifyHostKey(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errNoKey
	}
	refusal := r.revocation(key)
	if refusal == nil {
		refusal = &KeyError{Kind: Unknown}
	}
	refusal.Addr, refusal.Key = addr, key
	return refusal
}

func (r *Revocations) revocation(key ssh.PublicKey) *KeyError {
	for _, list := range r.lists {
		found, ok := list.Find(key)
		switch {
		case !ok:
		case found.Reason != "":
			return &KeyError{Kind: Revoked, Err: errors.New(found.Reason)}
		default:
			l := found.Line
			return &KeyError{Kind: Revoked, Known: []Line{{File: l.File, Number: l.Number, Key: l.Key}}}
		}
	}
	return nil
}
