package knownhosts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

const (
	// maxQuoted bounds text of others that is repeated in an error, in bytes
	// before quoting.
	maxQuoted = 128
	// maxShown bounds the lines that one error shows.
	maxShown = 8
)

// Kind says why a key was refused.
type Kind int

const (
	// Unknown: nothing is on record for the host. This is the only kind that
	// may be answered by asking the user and adding the key.
	Unknown Kind = iota + 1
	// Changed: other keys are on record for the host, of the same type or of
	// others. Either the host has new keys or somebody is in between.
	Changed
	// Revoked: the key, or the authority that signed it, is on an @revoked line,
	// or a revocation list has it or its certificate.
	Revoked
	// BadCertificate: a known authority signed the certificate, but it is not
	// valid for this host now.
	BadCertificate
	// AddressChanged: the key is right for the host, or the host is unknown, but
	// other keys are on record for its address; see Policy.CheckAddress.
	AddressChanged
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
	case AddressChanged:
		return "address changed"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// KeyError is the refusal of a host key.
type KeyError struct {
	Addr string        // as it was given to VerifyHostKey
	Name string        // what was looked up: "host", "[host]:port", or an alias
	Key  ssh.PublicKey // as it was offered; may be an *ssh.Certificate
	Kind Kind

	// Known are the lines that speak against the key: for Changed all plain
	// lines for the host, for AddressChanged those for the address, for Revoked
	// the line that revokes it, for BadCertificate the line of the authority and
	// then the plain lines. For Unknown they are the authorities for the host,
	// none of which has signed the key.
	Known []Line

	// Err says more: what is wrong with the certificate, which entry of a
	// revocation list has it, why nobody could be asked. It may be nil.
	Err error
}

// Error tells an operator in one line which key was offered, which lines of
// which files speak against it, and what can be done.
func (e *KeyError) Error() string {
	text := fmt.Sprintf("server %s offered %s", quote(e.Addr), describe(e.Key))
	if e.Name != "" && e.Name != e.Addr {
		if t, err := parseTarget(e.Addr); err != nil || t.name != e.Name {
			text += ", looked up as " + quote(e.Name)
		}
	}
	switch e.Kind {
	case Unknown:
		text = "unknown host key: " + text + ", and nothing is on record for it"
		if len(e.Known) > 0 {
			text += " but authorities that did not sign it: " + list(e.Known)
		}
		text += e.because() + "; compare the fingerprint with the server's own, and record the key if it is right"
	case Changed:
		text = "host key has changed: " + text + e.onRecord() + e.because() + e.remedy()
	case AddressChanged:
		text = "host key differs from that of the address: " + text + e.onRecord() + e.because() + e.remedy()
	case Revoked:
		text = "host key is revoked: " + text
		if len(e.Known) > 0 {
			text += ", revoked by " + list(e.Known)
		}
		text += e.because() + "; the server needs another key"
	case BadCertificate:
		text = "bad host certificate: " + text + e.because() + "; on record: " + list(e.Known) +
			"; the authority has to certify the server's key for this name and time"
	default:
		text = "host key refused: " + text + e.because()
	}
	return oneLine("knownhosts: " + text)
}

func (e *KeyError) onRecord() string {
	if len(e.Known) == 0 {
		return ""
	}
	return ", but on record: " + list(e.Known)
}

func (e *KeyError) because() string {
	if e.Err == nil {
		return ""
	}
	return ": " + e.Err.Error()
}

// remedy is what ssh(1) advises too, for every file that is in the way. Names
// that a shell could take for something else are left out.
func (e *KeyError) remedy() string {
	var files, commands []string
	for _, l := range e.Known {
		if !l.removable || slices.Contains(files, l.File) {
			continue
		}
		files = append(files, l.File)
		if shellSafe(l.File) && shellSafe(e.Name) {
			commands = append(commands, fmt.Sprintf("ssh-keygen -R '%s' -f '%s'", e.Name, l.File))
		}
	}
	const onPurpose = "; if the host was given new keys on purpose, "
	if len(commands) == 0 {
		return onPurpose + "what is on record has to be edited"
	}
	return onPurpose + "remove the old ones: " + enumerate(commands)
}

func shellSafe(s string) bool {
	return s != "" && len(s) <= maxQuoted && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || r == '\'' || r == '\\'
	})
}

// Unwrap returns what Err says.
func (e *KeyError) Unwrap() error { return e.Err }

// join makes one error of two, either of which may be nil, on one line.
func join(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

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
	return oneLine(text + ", but pinned: " + enumerate(e.Pins) + "; compare the fingerprint with the server's own")
}

// LineError is a line of a known_hosts file that was passed over.
type LineError struct {
	File   string // as it was named to [Load]
	Number int    // counted from 1
	Err    error  // why it was not understood

	hosts matcher // that it is about; nil if that was not understood either
}

// Error returns the place and the reason.
func (e *LineError) Error() string {
	return oneLine("knownhosts: " + position(e.File, e.Number) + ": " + e.Err.Error())
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

// oneLine is for text that has passed through others, or has names of files.
func oneLine(s string) string { return strings.ReplaceAll(visible(s), "\n", " ") }

// quote makes text of others safe to show.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
