package knownhosts

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// maxQuoted bounds text of others that is repeated in an error, in bytes
	// before quoting.
	maxQuoted = 128
	// maxShown bounds the lines that one error shows.
	maxShown = 8
)

// Kind says why a DB refused a key.
type Kind int

const (
	// Unknown: nothing is on record for the host. This is the only kind that
	// may be answered by asking the user and adding the key.
	Unknown Kind = iota + 1
	// Changed: other keys are on record for the host, of the same type or of
	// others. Either the host has new keys or somebody is in between.
	Changed
	// Revoked: the key, or the authority that signed it, is on an @revoked line.
	Revoked
	// BadCertificate: a known authority signed the certificate, but it is not
	// valid for this host now.
	BadCertificate
)

// String returns the word for the kind.
func (k Kind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case Changed:
		return "changed"
	case Revoked:
		return "revoked"
	case BadCertificate:
		return "bad certificate"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// KeyError is the refusal of a host key.
type KeyError struct {
	Addr string        // as it was given to VerifyHostKey
	Key  ssh.PublicKey // as it was offered; may be an *ssh.Certificate
	Kind Kind

	// Known are the lines that speak against the key: for Changed all plain
	// lines for the host, for Revoked the line that revokes it, for
	// BadCertificate the line of the authority and then the plain lines. For
	// Unknown there are none.
	Known []Line

	// Err says what is wrong with the certificate if Kind is BadCertificate,
	// and is nil otherwise.
	Err error
}

// Error tells an operator in one line which key was offered, and which lines of
// which files speak against it.
func (e *KeyError) Error() string {
	offered := fmt.Sprintf("server %s offered %s", quote(e.Addr), describe(e.Key))
	switch e.Kind {
	case Unknown:
		return "knownhosts: unknown host key: " + offered + ", and nothing is on record for it"
	case Changed:
		return "knownhosts: host key has changed: " + offered + ", but on record: " + list(e.Known)
	case Revoked:
		return "knownhosts: host key is revoked: " + offered + ", revoked by " + list(e.Known)
	case BadCertificate:
		return fmt.Sprintf("knownhosts: bad host certificate: %s: %v; on record: %s", offered, e.Err, list(e.Known))
	}
	return "knownhosts: host key refused: " + offered
}

// Unwrap returns what is wrong with a certificate.
func (e *KeyError) Unwrap() error { return e.Err }

// PinError is the refusal of a host key by a [Pin].
type PinError struct {
	Addr string        // as it was given to VerifyHostKey
	Key  ssh.PublicKey // as it was offered; may be an *ssh.Certificate
	Pins []string      // the fingerprints that would have been accepted
}

// Error shows the key that was offered and the fingerprints that are pinned.
func (e *PinError) Error() string {
	text := fmt.Sprintf("knownhosts: host key does not match: server %s offered %s", quote(e.Addr), describe(e.Key))
	for _, pin := range e.Pins {
		if strings.HasPrefix(pin, "MD5:") {
			text += " MD5:" + ssh.FingerprintLegacyMD5(plainKey(e.Key))
			break
		}
	}
	return text + ", but pinned: " + enumerate(e.Pins)
}

// LineError is a line of a known_hosts file that was passed over.
type LineError struct {
	File   string // as it was named to [Load]
	Number int    // counted from 1
	Err    error  // why it was not understood
}

// Error returns the place and the reason.
func (e *LineError) Error() string {
	return "knownhosts: " + position(e.File, e.Number) + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// position is "file:number", which editors understand. A line that was added
// since the file was read has no number.
func position(file string, number int) string {
	if file == "" {
		file = "(in memory)"
	}
	if number == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(number)
}

// describe returns type and fingerprint of a key as ssh-keygen -l shows them:
// of a certificate, those of the key that it certifies, and its authority.
func describe(key ssh.PublicKey) string {
	if key == nil {
		return "no key"
	}
	text := key.Type() + " " + ssh.FingerprintSHA256(plainKey(key))
	if cert, ok := key.(*ssh.Certificate); ok {
		text += " signed by authority " + describe(cert.SignatureKey)
	}
	return text
}

func list(lines []Line) string {
	shown := make([]string, len(lines))
	for i, l := range lines {
		shown[i] = l.String()
		if l.Marker != "" {
			shown[i] = l.Marker + " " + shown[i]
		}
	}
	return enumerate(shown)
}

// enumerate joins the first few items and counts the rest.
func enumerate(items []string) string {
	if len(items) > maxShown {
		return strings.Join(items[:maxShown], ", ") + fmt.Sprintf(" and %d more", len(items)-maxShown)
	}
	return strings.Join(items, ", ")
}

// quote makes text of others safe to show.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
