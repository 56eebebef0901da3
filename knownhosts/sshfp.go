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
)

// SSHFP is a DNS record of that type, RFC 4255 section 3.1.
type SSHFP struct {
	Algorithm   uint8 // of the key: 1 is RSA, 3 ECDSA, 4 Ed25519
	Type        uint8 // of the fingerprint: 1 is SHA-1, 2 SHA-256
	Fingerprint []byte
}

// Resolver looks up the SSHFP records of a host. authentic tells whether DNSSEC
// vouches for the answer: the AD bit, of a resolver that is trusted and reached
// over a path that is. Package net has no resolver that can.
type Resolver interface {
	LookupSSHFP(ctx context.Context, host string) (records []SSHFP, authentic bool, err error)
}

// DNS is a [Source] of host keys that are published in the DNS, as with
// VerifyHostKeyDNS. It knows a host if there are authentic records for keys and
// fingerprints of the same types: where all match, the key is right, where none
// does, it is refused (ssh(1) only warns), and where they disagree, as with other
// answers and failures, they count as nothing. For a certificate the plain key
// is looked up, and for an IP address nothing.
type DNS struct {
	Resolver Resolver
}

// VerifyHostKey returns nil if an authentic record matches.
func (d *DNS) VerifyHostKey(ctx context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil || d.Resolver == nil {
		return errors.New("knownhosts: no host key to verify, or no Resolver")
	}
	t, err := parseTarget(addr)
	if err != nil {
		return err
	}
	refusal := &KeyError{Addr: addr, Name: t.host, Key: key, Kind: Unknown}
	if _, err := netip.ParseAddr(t.host); err == nil {
		return refusal
	}
	records, authentic, err := d.Resolver.LookupSSHFP(ctx, t.host)
	if err != nil {
		refusal.Err = fmt.Errorf("SSHFP records of %s: %w", quote(t.host), err)
		return refusal
	}
	matched, differ := compareSSHFP(records, plainKey(key))
	switch {
	case !authentic && matched > 0:
		refusal.Err = errors.New("an SSHFP record matches, but DNSSEC does not vouch for it")
	case !authentic:
	case matched > 0 && differ > 0:
		refusal.Err = errors.New("some SSHFP records match, and others for such keys do not")
	case differ > 0:
		refusal.Kind, refusal.Err = Changed, errors.New("the SSHFP records in the DNS are for another key")
	case matched > 0:
		return nil
	}
	return refusal
}

// compareSSHFP counts the records for keys of this type.
func compareSSHFP(records []SSHFP, key ssh.PublicKey) (matched, differ int) {
	algorithm := map[string]uint8{
		ssh.KeyAlgoRSA:      1,
		ssh.KeyAlgoECDSA256: 3, ssh.KeyAlgoECDSA384: 3, ssh.KeyAlgoECDSA521: 3, // RFC 6594 section 3.2
		ssh.KeyAlgoED25519: 4, // RFC 7479 section 2
	}[key.Type()]
	blob := key.Marshal()
	legacy, current := sha1.Sum(blob), sha256.Sum256(blob)
	sums := map[uint8][]byte{1: legacy[:], 2: current[:]}
	for _, r := range records {
		sum := sums[r.Type]
		switch {
		case algorithm == 0 || r.Algorithm != algorithm || len(r.Fingerprint) != len(sum) || sum == nil:
		case bytes.Equal(r.Fingerprint, sum):
			matched++
		default:
			differ++
		}
	}
	return matched, differ
}
