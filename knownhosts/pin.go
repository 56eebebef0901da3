package knownhosts

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// Pin is a verifier that accepts keys by their fingerprints, whatever the name of
// the host. A Pin may be used concurrently.
type Pin struct {
	pins []string // in canonical form
}

// Fingerprint returns a verifier for keys with one of the given fingerprints, in
// the forms of ssh-keygen -l: "SHA256:" with base64, or "MD5:" with hexadecimal
// pairs between colons. A fingerprint of another form is an error, and so is no
// fingerprint at all.
//
// A certificate has the fingerprint of the certified key. A server has keys of
// several types and shows just one of them: pin all keys, or limit the
// transport's host-key algorithms to the pinned type.
func Fingerprint(fingerprints ...string) (*Pin, error) {
	if len(fingerprints) == 0 {
		return nil, errors.New("knownhosts: no fingerprint is given")
	}
	p := new(Pin)
	for _, s := range fingerprints {
		pin, err := parseFingerprint(s)
		if err != nil {
			return nil, fmt.Errorf("knownhosts: fingerprint %s: %w", hostfile.Quote(s), err)
		}
		p.pins = append(p.pins, pin)
	}
	return p, nil
}

func parseFingerprint(s string) (string, error) {
	if encoded, ok := strings.CutPrefix(s, "SHA256:"); ok {
		encoded = strings.TrimSuffix(encoded, "=")
		sum, err := base64.RawStdEncoding.DecodeString(encoded)
		if err != nil || len(sum) != sha256.Size || base64.RawStdEncoding.EncodeToString(sum) != encoded {
			return "", fmt.Errorf("text behind %q is not %d bytes in base64", "SHA256:", sha256.Size)
		}
		return "SHA256:" + encoded, nil
	}
	if encoded, ok := strings.CutPrefix(s, "MD5:"); ok {
		encoded = hostfile.Lower(encoded)
		sum, err := hex.DecodeString(strings.ReplaceAll(encoded, ":", ""))
		if err != nil || len(sum) != md5.Size || strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":") != encoded {
			return "", fmt.Errorf("text behind %q is not %d hexadecimal pairs between colons", "MD5:", md5.Size)
		}
		return "MD5:" + encoded, nil
	}
	return "", fmt.Errorf("prefix is neither %q nor %q", "SHA256:", "MD5:")
}

// VerifyHostKey returns nil if key has one of the fingerprints, and a [*PinError]
// otherwise. VerifyHostKey waits for nothing, so ctx is not consulted.
func (p *Pin) VerifyHostKey(_ context.Context, addr string, _ net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errNoKey
	}
	plain := sshkey.Plain(key)
	if slices.Contains(p.pins, ssh.FingerprintSHA256(plain)) ||
		slices.Contains(p.pins, "MD5:"+ssh.FingerprintLegacyMD5(plain)) {
		return nil
	}
	return &PinError{Addr: addr, Key: key, Pins: slices.Clone(p.pins)}
}

// Callback makes a verifier of a callback for x/crypto/ssh:
// knownhosts.Callback(cb). Errors of the callback are returned as they are. A
// callback has no context, so nobody can stop a call, and cannot say which keys
// are known: a server with both shows its plain key and not its certificate,
// unless the HostKeyAlgorithms of the transport say otherwise.
type Callback ssh.HostKeyCallback

// VerifyHostKey calls the callback. A nil Callback refuses every key.
func (c Callback) VerifyHostKey(_ context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	if c == nil {
		return errors.New("knownhosts: Callback is nil")
	}
	return c(addr, remote, key)
}
