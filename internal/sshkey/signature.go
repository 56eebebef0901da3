package sshkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxFormat bounds a signature format of the peer that is repeated in an error.
const maxFormat = 64

// Verify checks a signature in wire form over data. The signature must have one
// of the given formats, because a key alone would take others: an RSA key takes
// SHA-1. Nothing may follow the signature, except with keys of security tokens,
// whose signatures have a counter there.
func Verify(key ssh.PublicKey, formats []string, data, signature []byte) error {
	var s ssh.Signature
	if err := ssh.Unmarshal(signature, &s); err != nil {
		return errors.New("malformed signature")
	}
	if !slices.Contains(formats, s.Format) {
		return fmt.Errorf("signature made with %s instead of %s", quote(s.Format), strings.Join(formats, " or "))
	}
	sk := s.Format == ssh.KeyAlgoSKED25519 || s.Format == ssh.KeyAlgoSKECDSA256
	if len(s.Rest) > 0 && !sk {
		return fmt.Errorf("signature with %d bytes too many", len(s.Rest))
	}
	return key.Verify(data, &s)
}

func quote(s string) string {
	if len(s) > maxFormat {
		return fmt.Sprintf("%q…", s[:maxFormat])
	}
	return fmt.Sprintf("%q", s)
}
