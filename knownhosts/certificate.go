package knownhosts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxPrincipals is OpenSSH's bound on the names in one certificate.
const maxPrincipals = 256

// authorityAlgorithms are the signatures that count on a certificate. RSA with
// SHA-1, "ssh-rsa", is not among them.
var authorityAlgorithms = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// checkCertificate says what is wrong with a certificate (OpenSSH
// PROTOCOL.certkeys) signed by a known authority. The host is in lower case and
// has no port, since certificates name hosts and not services on them.
func checkCertificate(cert *ssh.Certificate, host string) error {
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("it is not a host certificate")
	case len(cert.ValidPrincipals) == 0:
		// To x/crypto it would be good for every host, and so it was to OpenSSH
		// before 10.3.
		return errors.New("it names no host")
	case len(cert.ValidPrincipals) > maxPrincipals:
		return fmt.Errorf("it names more than %d hosts", maxPrincipals)
	case len(cert.CriticalOptions) > 0:
		return errors.New("it carries critical options, and none is defined for hosts")
	case cert.Signature == nil || !slices.Contains(authorityAlgorithms, cert.Signature.Format):
		return errors.New("it is not signed with an accepted algorithm")
	}
	// OpenSSH, since 10.3, allows wildcards here.
	i := slices.IndexFunc(cert.ValidPrincipals, func(principal string) bool {
		return wildcardMatch(lower(principal), host)
	})
	if i < 0 {
		return fmt.Errorf("it is not for this host but for %s", quote(strings.Join(cert.ValidPrincipals, ",")))
	}
	// What is left are the times and the signature. The checker compares
	// principals without wildcards, so it is given the one that matched.
	var checker ssh.CertChecker
	return checker.CheckCert(cert.ValidPrincipals[i], cert)
}
