package knownhosts

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// SSHFP is a DNS record with a fingerprint, RFC 4255 section 3.1.
type SSHFP struct {
	Algorithm   uint8 // of the key: 1 is RSA, 3 ECDSA, 4 Ed25519
	Type        uint8 // of the fingerprint: 1 is SHA-1, 2 SHA-256
	Fingerprint []byte
}

// Resolver looks up the SSHFP records of a host. authentic reports whether
// DNSSEC vouches for the answer: the AD bit of a trusted resolver over a
// trusted path. The resolver of package net cannot tell.
type Resolver interface {
	LookupSSHFP(ctx context.Context, host string) (records []SSHFP, authentic bool, err error)
}

// DNS is a [Source] of host keys that are published in the DNS, as with
// VerifyHostKeyDNS. A host is known if there are authentic records for keys and
// fingerprints of the same types. A key is right where all records match, and
// refused where none matches (ssh(1) only warns). Records that disagree count as
// nothing, like other answers and failures. Records serve the plain key of a
// certificate, and no IP address.
type DNS struct {
	Resolver Resolver
}

// VerifyHostKey returns nil if an authentic record matches.
func (d *DNS) VerifyHostKey(ctx context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errNoKey
	}
	if d.Resolver == nil {
		return errors.New("knownhosts: DNS.Resolver is not set: nobody looks up SSHFP records")
	}
	a, err := parseAddr(addr)
	if err != nil {
		return err
	}
	refusal := &KeyError{Addr: addr, Name: a.Host, Key: key, Kind: Unknown}
	if _, err := netip.ParseAddr(a.Host); err == nil {
		return refusal
	}
	records, authentic, err := d.Resolver.LookupSSHFP(ctx, a.Host)
	if err != nil {
		refusal.Err = fmt.Errorf("SSHFP records of %s: %w", hostfile.Quote(a.Host), ctxerr.Join(ctx, err))
		return refusal
	}
	matched, differ := compareSSHFP(records, sshkey.Plain(key))
	switch {
	case !authentic && matched > 0:
		refusal.Err = errors.New("an SSHFP record matches, but DNSSEC does not vouch for the record")
	case !authentic:
	case matched > 0 && differ > 0:
		refusal.Err = errors.New("some SSHFP records match, and others for such keys do not")
	case differ > 0:
		refusal.Kind, refusal.Err = Changed, errors.New("all SSHFP records in the DNS are for another key")
	case matched > 0:
		return nil
	}
	return refusal
}

// compareSSHFP counts the records for keys of this type: those that match, and
// those that differ.
func compareSSHFP(records []SSHFP, key ssh.PublicKey) (matched, differ int) {
	t, _ := sshkey.HostType(key.Type())
	blob := key.Marshal()
	legacy, current := sha1.Sum(blob), sha256.Sum256(blob)
	sums := map[uint8][]byte{1: legacy[:], 2: current[:]}
	for _, r := range records {
		sum := sums[r.Type]
		switch {
		case t.SSHFP == 0 || r.Algorithm != t.SSHFP || len(r.Fingerprint) != len(sum) || sum == nil:
		case bytes.Equal(r.Fingerprint, sum):
			matched++
		default:
			differ++
		}
	}
	return matched, differ
}
