package syntax

import (
	"errors"
	"slices"
	"strings"
)

// Defaults are the lists that OpenSSH 10.5 offers, by the names of the fields of Algorithms.
var Defaults = map[string][]string{
	"Ciphers": split(`chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,
		aes256-ctr`),
	"MACs": split(`umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,
		hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,
		hmac-sha2-512,hmac-sha1`),
	"KexAlgorithms": split(`mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,
		curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,
		diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,
		diffie-hellman-group14-sha256`),
	"PublicKey": split(`ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,
		ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,
		sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,
		webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,
		rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,
		sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,
		rsa-sha2-512,rsa-sha2-256`),
	"CASignature": split(`ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,
		sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,
		rsa-sha2-512,rsa-sha2-256`),
}

// Supported are the names that OpenSSH 10.5 accepts in a file.
var Supported = map[string][]string{
	"Ciphers": split(`3des-cbc,aes128-cbc,aes192-cbc,aes256-cbc,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,
		aes256-gcm@openssh.com,chacha20-poly1305@openssh.com`),
	"MACs": split(`hmac-sha1,hmac-sha1-96,hmac-sha2-256,hmac-sha2-512,hmac-md5,hmac-md5-96,umac-64@openssh.com,
		umac-128@openssh.com,hmac-sha1-etm@openssh.com,hmac-sha1-96-etm@openssh.com,hmac-sha2-256-etm@openssh.com,
		hmac-sha2-512-etm@openssh.com,hmac-md5-etm@openssh.com,hmac-md5-96-etm@openssh.com,umac-64-etm@openssh.com,
		umac-128-etm@openssh.com`),
	"KexAlgorithms": split(`diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group14-sha256,
		diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha1,
		diffie-hellman-group-exchange-sha256,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,
		mlkem768nistp256-sha256,curve25519-sha256,curve25519-sha256@libssh.org,sntrup761x25519-sha512,
		sntrup761x25519-sha512@openssh.com,mlkem768x25519-sha256`),
	"PublicKey": split(`ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,ssh-mldsa44-ed25519@openssh.com,
		ssh-mldsa44-ed25519-cert-v01@openssh.com,sk-ssh-ed25519@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,
		ecdsa-sha2-nistp256,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384,
		ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521,ecdsa-sha2-nistp521-cert-v01@openssh.com,
		sk-ecdsa-sha2-nistp256@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,
		webauthn-sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-rsa,
		ssh-rsa-cert-v01@openssh.com,rsa-sha2-256,rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,
		rsa-sha2-512-cert-v01@openssh.com`),
	"CASignature": split(`ssh-ed25519,ssh-mldsa44-ed25519@openssh.com,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,
		ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,
		webauthn-sk-ecdsa-sha2-nistp256@openssh.com,ssh-rsa,rsa-sha2-256,rsa-sha2-512`),
}

// ShortNames are further names of key types. OpenSSH lets them pass the check of a line, and then matches nothing.
var ShortNames = []string{"ed25519", "ed25519-sk", "ecdsa", "ecdsa-sk", "rsa"}

// split parses a list of names with commas, on several lines.
func split(names string) []string {
	return strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
}

// errNoAlgorithm refuses a list that would leave nothing to offer.
var errNoAlgorithm = errors.New("the list leaves no algorithm")

// Assemble applies a list of algorithms with a modifier to the preferred ones: + appends, - removes, ^ puts in front. The
// names may be patterns for the names in all.
func Assemble(text string, preferred, all []string) ([]string, error) {
	switch text[0] {
	case '-':
		return slices.DeleteFunc(slices.Clone(preferred), func(n string) bool { return MatchList(n, text[1:]) == 1 }), nil
	case '+':
		text = strings.Join(preferred, ",") + "," + text[1:]
	case '^':
		text = text[1:] + "," + strings.Join(preferred, ",")
	}
	var names []string
	// The names keep the order of the list, and appear once.
	for pattern := range strings.SplitSeq(text, ",") {
		if strings.HasPrefix(pattern, "!") {
			return nil, errors.New("the list has a negated pattern " + Quote(pattern))
		}
		for _, n := range all {
			if MatchPattern(n, pattern) && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return nil, errNoAlgorithm
	}
	return names, nil
}
