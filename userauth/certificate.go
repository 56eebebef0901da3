package userauth

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// certificate returns the certificate that a key is, or nil. One of an agent's
// does not have the type of it.
func certificate(key ssh.PublicKey) *ssh.Certificate {
	if key == nil {
		return nil
	}
	parsed, err := ssh.ParsePublicKey(key.Marshal())
	cert, ok := parsed.(*ssh.Certificate)
	if err != nil || !ok {
		return nil
	}
	return cert
}

// describe says what a server may have against a certificate: it does not say
// itself.
func describe(cert *ssh.Certificate) string {
	s := fmt.Sprintf("certificate %q for %q", cut(cert.KeyId), cut(strings.Join(cert.ValidPrincipals, ",")))
	if cert.ValidAfter > 0 {
		s += ", valid from " + moment(cert.ValidAfter)
	}
	if cert.ValidBefore < math.MaxInt64 {
		s += ", valid until " + moment(cert.ValidBefore)
	}
	if len(cert.CriticalOptions) > 0 {
		s += fmt.Sprintf(", restricted by %q", cut(strings.Join(slices.Sorted(maps.Keys(cert.CriticalOptions)), ",")))
	}
	return s
}

// moment returns a time that is in a certificate, for messages.
func moment(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxInt64)), 0).UTC().Format(time.RFC3339)
}
