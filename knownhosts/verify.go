package knownhosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyTypes are the types of host keys that are understood, the strongest first,
// each with the algorithms that can prove possession of such a key and with
// those of its certificates.
var keyTypes = []struct {
	name               string
	plain, certificate []string
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}, []string{ssh.CertAlgoED25519v01}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}, []string{ssh.CertAlgoECDSA256v01}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}, []string{ssh.CertAlgoECDSA384v01}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}, []string{ssh.CertAlgoECDSA521v01}},
	{ssh.KeyAlgoSKED25519, []string{ssh.KeyAlgoSKED25519}, []string{ssh.CertAlgoSKED25519v01}},
	{ssh.KeyAlgoSKECDSA256, []string{ssh.KeyAlgoSKECDSA256}, []string{ssh.CertAlgoSKECDSA256v01}},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
		[]string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}},
}

func supported(keyType string) bool {
	for _, t := range keyTypes {
		if t.name == keyType {
			return true
		}
	}
	return false
}

// proves reports whether a plain key of that type is used with that algorithm.
func proves(keyType, algorithm string) bool {
	for _, t := range keyTypes {
		if t.name == keyType {
			return slices.Contains(t.plain, algorithm)
		}
	}
	return false
}

// target is what known_hosts calls an address.
type target struct {
	host string // lower case, without port, as a certificate names it
	// name is "[host]:port", or for port 22 just the host. A key recorded for
	// it counts first.
	name string
}

// parseTarget takes an address apart as ssh(1) does: names in lower case,
// numeric addresses in their canonical form.
func parseTarget(addr string) (target, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return target{}, fmt.Errorf("knownhosts: address %s: not of the form host:port", quote(addr))
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, fmt.Errorf("knownhosts: address %s: port is not a number", quote(addr))
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	host = strings.TrimSuffix(lower(host), ".")
	if host == "" {
		return target{}, fmt.Errorf("knownhosts: address %s: no host name", quote(addr))
	}
	if number == 22 {
		return target{host, host}, nil
	}
	return target{host, fmt.Sprintf("[%s]:%d", host, number)}, nil
}

// record is what a DB has on a target.
type record struct {
	plain       []Line // for the target's own name
	fallback    []Line // for the plain host name, where the target's own has a port
	authorities []Line // for either
}

// VerifyHostKey returns nil if key is the right one for addr, which is
// "host:port" as the user named it and as [net.JoinHostPort] writes it. Any
// refusal is a [*KeyError]; the only other errors are about a malformed addr
// and a nil key. It asks nobody and waits for nothing, so ctx is not consulted;
// remote is not consulted either, as in OpenSSH without CheckHostIP. It
// believes the caller that the server has proved to hold the key.
//
// A key is right if it is on a line for the host, and a certificate if an
// authority on an @cert-authority line for the host has signed it and it is
// valid for that host now; a certificate that is not right in this way is taken
// for the plain key that it certifies. A key on an @revoked line, be it
// offered, certified or an authority's, is never right.
//
// On a port other than 22 lines for "[host]:port" decide. Where there is none
// with a plain key, and for authorities always, lines for the plain host name
// serve as well.
func (d *DB) VerifyHostKey(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to verify")
	}
	t, err := parseTarget(addr)
	if err != nil {
		return err
	}
	refusal := d.revocation(key)
	if refusal == nil {
		refusal = d.find(t).verify(t, key)
	}
	if refusal == nil {
		return nil
	}
	refusal.Addr, refusal.Name, refusal.Key = addr, t.name, key
	if refusal.Kind == Unknown {
		refusal.Err = d.passedOver(t)
	}
	return refusal
}

// passedOver tells of the first line about a target that was not understood,
// since that is where an operator will look.
func (d *DB) passedOver(t target) error {
	for _, e := range d.skipped {
		if e.hosts != nil && (e.hosts.match(t.name) || e.hosts.match(t.host)) {
			return fmt.Errorf("%s is about it, but was passed over: %w", position(e.File, e.Number), e.Err)
		}
	}
	return nil
}

// verify judges a key that is not revoked. Its error lacks what was asked.
func (r *record) verify(t target, key ssh.PublicKey) *KeyError {
	refusal := r.verifyPlain(plainKey(key))
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return refusal
	}
	i := index(r.authorities, cert.SignatureKey)
	if i < 0 {
		return refusal
	}
	err := checkCertificate(cert, t.host)
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

// HostKeyAlgorithms returns the host-key algorithms that make the server at
// addr show a key that is on record, the strongest first: those of all
// certificates if an authority is known for the host, then those of the plain
// keys known. Revoked keys do not count. The result is nil if nothing is known.
// As in ssh(1), the keys of the plain host name do not count on a port other
// than 22, where another server may have others.
//
// Whoever watches the handshake can tell from the order whether the host is
// known (CVE-2020-14145). That helps an attacker only where unknown keys get
// accepted, which a DB by itself never does.
func (d *DB) HostKeyAlgorithms(addr string) []string {
	t, err := parseTarget(addr)
	if err != nil {
		return nil
	}
	r := d.find(t)
	isRevoked := func(l Line) bool { return d.revocation(l.Key) != nil }
	known := slices.DeleteFunc(r.plain, isRevoked)
	certified := len(slices.DeleteFunc(r.authorities, isRevoked)) > 0

	var certificates, plain []string
	for _, t := range keyTypes {
		if certified {
			certificates = append(certificates, t.certificate...)
		}
		if slices.ContainsFunc(known, func(l Line) bool { return l.Key.Type() == t.name }) {
			plain = append(plain, t.plain...)
		}
	}
	return append(certificates, plain...)
}

// Authorities returns a DB of the @cert-authority and @revoked lines of d alone.
// It accepts certificates and no plain key. What it has does not change with d.
func (d *DB) Authorities() *DB {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := &DB{skipped: d.skipped, revoked: maps.Clone(d.revoked)}
	for _, l := range d.lines {
		if l.Marker == markerAuthority {
			a.lines = append(a.lines, l)
		}
	}
	return a
}

// find collects the lines about a target.
func (d *DB) find(t target) *record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := new(record)
	for _, l := range d.lines {
		own := l.hosts.match(t.name)
		other := !own && t.name != t.host && l.hosts.match(t.host)
		switch {
		case !own && !other:
		case l.Marker == markerAuthority:
			r.authorities = append(r.authorities, l.Line)
		case own:
			r.plain = append(r.plain, l.Line)
		default:
			r.fallback = append(r.fallback, l.Line)
		}
	}
	return r
}

// revocation tells which line revokes a key, or the one within a certificate,
// or the one that signed it. nil is none.
func (d *DB) revocation(key ssh.PublicKey) *KeyError {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l, ok := d.revoked[string(plainKey(key).Marshal())]
	if cert, isCert := key.(*ssh.Certificate); isCert && !ok {
		l, ok = d.revoked[string(cert.SignatureKey.Marshal())]
	}
	if !ok {
		return nil
	}
	return &KeyError{Key: key, Kind: Revoked, Known: []Line{l}}
}

// plainKey returns the key that a certificate is about, or else key itself.
func plainKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// index returns the place of key among lines, or -1.
func index(lines []Line, key ssh.PublicKey) int {
	blob := key.Marshal()
	return slices.IndexFunc(lines, func(l Line) bool { return bytes.Equal(l.Key.Marshal(), blob) })
}
