package knownhosts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// maxPrincipals is OpenSSH's bound on the names in one certificate.
const maxPrincipals = 256

// isAuthoritySignature reports whether a signature format counts on a
// certificate: any format of a host key, and so not RSA with SHA-1.
func isAuthoritySignature(format string) bool {
	return slices.ContainsFunc(sshkey.HostAlgorithms(), func(a sshkey.Algorithm) bool { return a.Signature == format })
}

// checkCertificate returns an error unless a certificate (OpenSSH
// PROTOCOL.certkeys) of a known authority is good for a host. The host is in
// lower case and has no port, since certificates name hosts and not services on
// them.
func checkCertificate(cert *ssh.Certificate, host string) error {
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("certificate is not a host certificate")
	case len(cert.ValidPrincipals) == 0:
		// To x/crypto such a certificate is good for every host, and so it was to
		// OpenSSH before 10.3.
		return errors.New("certificate names no host")
	case len(cert.ValidPrincipals) > maxPrincipals:
		return fmt.Errorf("certificate names more than %d hosts", maxPrincipals)
	case len(cert.CriticalOptions) > 0:
		return errors.New("certificate carries critical options, and none is defined for hosts")
	case cert.Signature == nil || !isAuthoritySignature(cert.Signature.Format):
		return errors.New("certificate is not signed with an accepted algorithm")
	}
	// OpenSSH, since 10.3, allows wildcards here.
	i := slices.IndexFunc(cert.ValidPrincipals, func(principal string) bool {
		return hostfile.MatchPattern(hostfile.Lower(principal), host)
	})
	if i < 0 {
		return fmt.Errorf("certificate is not for this host but for %s", hostfile.Quote(strings.Join(cert.ValidPrincipals, ",")))
	}
	// The times and the signature are left. The checker compares principals
	// without wildcards, so it gets the principal that has matched.
	var checker ssh.CertChecker
	return checker.CheckCert(cert.ValidPrincipals[i], cert)
}
