package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// errNoKey says that a caller has passed no host key.
var errNoKey = errors.New("knownhosts: no host key to verify")

// parseAddr returns the names of a "host:port" in known_hosts.
func parseAddr(addr string) (hostfile.Address, error) {
	a, err := hostfile.ParseAddress(addr)
	if err != nil {
		return a, fmt.Errorf("knownhosts: %w", err)
	}
	return a, nil
}

// record is all that a DB has about an address.
type record struct {
	plain       []Line // for "[host]:port", or the host on port 22
	fallback    []Line // for the plain host name, on a port other than 22
	authorities []Line // for either
}

// VerifyHostKey returns nil if key is the right one for addr, a "host:port" as
// the user named it and as [net.JoinHostPort] writes it. Any refusal is a
// [*KeyError]. The only other errors are about a malformed addr and a nil key.
// VerifyHostKey asks nobody and waits for nothing, so ctx is not consulted, and
// neither is remote, as in OpenSSH without CheckHostIP. The caller has made sure
// that the server holds the key.
//
// A key is right if a line for the host has the key. A certificate is right if an
// authority on an @cert-authority line for the host has signed the certificate,
// which is valid for that host now. Any other certificate is taken for the plain
// key that it certifies. A key on an @revoked line, be it offered, certified or
// an authority's, is never right.
//
// On a port other than 22 lines for "[host]:port" decide. Lines for the plain
// host name serve where there is no plain key for "[host]:port", and for
// authorities always.
func (d *DB) VerifyHostKey(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errNoKey
	}
	a, err := parseAddr(addr)
	if err != nil {
		return err
	}
	refusal := d.revocation(key)
	if refusal == nil {
		refusal = d.find(a).verify(a, key)
	}
	if refusal == nil {
		return nil
	}
	refusal.Addr, refusal.Name, refusal.Key = addr, a.Name, key
	if refusal.Kind == Unknown {
		refusal.Err = d.passedOver(a)
	}
	return refusal
}

// passedOver reports the first line about an address that was not understood,
// because an operator will look there.
func (d *DB) passedOver(a hostfile.Address) error {
	for _, e := range d.skipped {
		if e.names != nil && (e.names.Match(a.Name) || e.names.Match(a.Host)) {
			return fmt.Errorf("line %s about the host was passed over: %w", hostfile.Position(e.File, e.Number), e.Err)
		}
	}
	return nil
}

// verify judges a key that is not revoked. The error lacks the question.
func (r *record) verify(a hostfile.Address, key ssh.PublicKey) *KeyError {
	refusal := r.verifyPlain(sshkey.Plain(key))
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return refusal
	}
	i := index(r.authorities, cert.SignatureKey)
	if i < 0 {
		return refusal
	}
	err := checkCertificate(cert, a.Host)
	if err == nil {
		return nil
	}
	if refusal != nil {
		known := append([]Line{r.authorities[i]}, r.plain...)
		refusal = &KeyError{Kind: BadCertificate, Known: known, Err: err}
	}
	return refusal
}

// verifyPlain judges a key that is no certificate.
func (r *record) verifyPlain(key ssh.PublicKey) *KeyError {
	switch {
	case index(r.plain, key) >= 0:
		return nil
	case len(r.plain) > 0:
		// A key of another type counts as changed, too: an attacker picks the
		// type that is not on record.
		return &KeyError{Kind: Changed, Known: r.plain}
	case index(r.fallback, key) >= 0:
		return nil
	}
	return &KeyError{Kind: Unknown, Known: r.authorities}
}

// HostKeyAlgorithms returns the host-key algorithms that make the server at addr
// show a key on record, the strongest first: those of all certificates if an
// authority is known for the host, then those of the known plain keys. Revoked
// keys do not count. The result is nil if nothing is known. As in ssh(1), the
// keys of the plain host name do not count on a port other than 22, where another
// server may have other keys.
//
// Whoever watches the handshake can tell from the order whether the host is known
// (CVE-2020-14145). That helps an attacker only where unknown keys get accepted,
// and a DB by itself never accepts them.
func (d *DB) HostKeyAlgorithms(addr string) []string {
	a, err := parseAddr(addr)
	if err != nil {
		return nil
	}
	r := d.find(a)
	isRevoked := func(l Line) bool { return d.revocation(l.Key) != nil }
	known := slices.DeleteFunc(r.plain, isRevoked)
	certified := len(slices.DeleteFunc(r.authorities, isRevoked)) > 0

	var certificates, plain []string
	for _, t := range sshkey.HostTypes() {
		if certified {
			certificates = append(certificates, sshkey.Names(t.Certified)...)
		}
		if slices.ContainsFunc(known, func(l Line) bool { return l.Key.Type() == t.Name }) {
			plain = append(plain, sshkey.Names(t.Algorithms)...)
		}
	}
	return append(certificates, plain...)
}

// Authorities returns a DB of the @cert-authority and @revoked lines of d alone,
// which accepts certificates and no plain key. Later changes of d have no effect
// on the result.
func (d *DB) Authorities() *DB {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := &DB{skipped: d.skipped, revoked: maps.Clone(d.revoked)}
	for _, l := range d.lines {
		if l.Marker == hostfile.Authority {
			a.lines = append(a.lines, l)
		}
	}
	return a
}

// find collects the lines about an address.
func (d *DB) find(a hostfile.Address) *record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := new(record)
	for _, l := range d.lines {
		own := l.Names.Match(a.Name)
		other := !own && a.Name != a.Host && l.Names.Match(a.Host)
		switch {
		case !own && !other:
		case l.Marker == hostfile.Authority:
			r.authorities = append(r.authorities, d.line(l))
		case own:
			r.plain = append(r.plain, d.line(l))
		default:
			r.fallback = append(r.fallback, d.line(l))
		}
	}
	return r
}

// revocation returns a refusal if a line revokes a key, the key within a
// certificate, or the authority of a certificate. Otherwise the result is nil.
func (d *DB) revocation(key ssh.PublicKey) *KeyError {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l, ok := d.revoked[string(sshkey.Plain(key).Marshal())]
	if cert, isCert := key.(*ssh.Certificate); isCert && !ok {
		l, ok = d.revoked[string(cert.SignatureKey.Marshal())]
	}
	if !ok {
		return nil
	}
	return &KeyError{Key: key, Kind: Revoked, Known: []Line{d.line(l)}}
}

// index returns the place of the first line with a key, or -1.
func index(lines []Line, key ssh.PublicKey) int {
	return slices.IndexFunc(lines, func(l Line) bool { return sshkey.Equal(l.Key, key) })
}
