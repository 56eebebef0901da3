package knownhosts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

const (
	// maxInCommand bounds names in a command of an error, in bytes.
	maxInCommand = 128
	// maxShown bounds the lines in the text of an error.
	maxShown = 8
)

// Kind says why a key was refused.
type Kind int

const (
	// Unknown means that nothing is on record for the host. No other kind may be
	// answered by asking the user and adding the key.
	Unknown Kind = iota + 1
	// Changed means that other keys are on record for the host, of the same type
	// or of others. Either the host has new keys or somebody is in between.
	Changed
	// Revoked means that an @revoked line has the key or its authority, or that a
	// revocation list has the key, its authority or the certificate.
	Revoked
	// BadCertificate means that a known authority signed the certificate, but not
	// for this host or not for now.
	BadCertificate
	// AddressChanged means that other keys are on record for the address of the
	// host, whose key is right or unknown; see Policy.CheckHostIP.
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
	Addr string        // the argument of VerifyHostKey
	Name string        // the name in known_hosts: "host", "[host]:port", or an alias
	Key  ssh.PublicKey // the offered key; may be an *ssh.Certificate
	Kind Kind

	// Known are the lines that speak against the key: for Changed all plain lines
	// for the host, for AddressChanged those for the address, for Revoked the
	// line that revokes the key, for BadCertificate the line of the authority and
	// then the plain lines. For Unknown they are the authorities for the host,
	// none of which has signed the key.
	Known []Line

	// Err says more: the fault of the certificate, the entry of a revocation
	// list, the reason why nobody could be asked. Err may be nil.
	Err error
}

// Error tells an operator in a single line the offered key, the lines of files
// that speak against the key, and the way on.
func (e *KeyError) Error() string {
	text := fmt.Sprintf("server %s offered %s", hostfile.Quote(e.Addr), sshkey.Describe(e.Key))
	if e.Name != "" && e.Name != e.Addr {
		if a, err := hostfile.ParseAddress(e.Addr); err != nil || a.Name != e.Name {
			text += ", looked up as " + hostfile.Quote(e.Name)
		}
	}
	switch e.Kind {
	case Unknown:
		text = "unknown host key: " + text + ", and nothing is on record for the host"
		if len(e.Known) > 0 {
			text += " but authorities that did not sign the key: " + list(e.Known)
		}
		text += e.because() + "; compare the fingerprint with the server's own, and record the key if they agree"
	case Changed:
		text = "host key has changed: " + text + e.onRecord() + e.because() + e.remedy()
	case AddressChanged:
		text = "host key differs from the key of the address: " + text + e.onRecord() + e.because() + e.remedy()
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
	return hostfile.OneLine("knownhosts: " + text)
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

// remedy returns the advice of ssh(1), for every file in the way. Names are left
// out if a shell could take them for something else.
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
		return onPurpose + "edit the lines on record"
	}
	return onPurpose + "remove the old keys: " + enumerate(commands)
}

func shellSafe(s string) bool {
	return s != "" && len(s) <= maxInCommand && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || r == '\'' || r == '\\'
	})
}

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// PinError is the refusal of a host key by a [Pin].
type PinError struct {
	Addr string        // the argument of VerifyHostKey
	Key  ssh.PublicKey // the offered key; may be an *ssh.Certificate
	Pins []string      // the accepted fingerprints
}

// Error shows the offered key and the pinned fingerprints.
func (e *PinError) Error() string {
	text := fmt.Sprintf("knownhosts: host key does not match: server %s offered %s",
		hostfile.Quote(e.Addr), sshkey.Describe(e.Key))
	for _, pin := range e.Pins {
		if strings.HasPrefix(pin, "MD5:") {
			text += " MD5:" + ssh.FingerprintLegacyMD5(sshkey.Plain(e.Key))
			break
		}
	}
	return hostfile.OneLine(text + ", but pinned: " + enumerate(e.Pins) + "; compare the fingerprint with the server's own")
}

// LineError is a line of a known_hosts file that was passed over.
type LineError struct {
	File   string // as the caller of [Load] named the file
	Number int    // counted from 1
	Err    error  // the reason

	names hostfile.Names // nil if the names were not understood either
}

// Error returns the place and the reason.
func (e *LineError) Error() string {
	return hostfile.OneLine("knownhosts: " + hostfile.Position(e.File, e.Number) + ": " + e.Err.Error())
}

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

func newLineError(e *hostfile.LineError) *LineError {
	return &LineError{File: e.File, Number: e.Number, Err: e.Err, names: e.Names}
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
