package userauth

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Attempt is an offer to the server, or the reason why an offer was not made.
type Attempt struct {
	Method string        // as on the wire
	Key    ssh.PublicKey // the key offered, nil for methods without a key
	Prompt string        // the server's prompts, on one line and cut at 200 bytes
	Status Status        // the server's verdict when Err is nil
	Err    error         // why there is no verdict; wraps ErrSkip when nothing was offered

	// Trivial says that the attempt had no proof in it: no password, no
	// signature, no answer to a prompt.
	Trivial bool
}

// String describes the attempt on one line.
func (a Attempt) String() string { return a.subject() + ": " + a.result() }

func (a Attempt) subject() string {
	s := a.Method
	if a.Key != nil {
		s += " " + KeyName(a.Key)
	}
	if a.Prompt != "" {
		s += fmt.Sprintf(" %q", a.Prompt)
	}
	return s
}

// result describes the outcome. Servers do not say why a certificate is refused,
// so the result has the possible reasons.
func (a Attempt) result() string {
	if a.Err != nil {
		return reason(a.Err)
	}
	if cert := certificate(a.Key); cert != nil && a.Status == Failure {
		return a.Status.String() + ": " + describe(cert)
	}
	return a.Status.String()
}

// outcome returns a with the server's verdict, or with the reason why there is
// no verdict.
func outcome(x *Exchange, a Attempt, reply Reply, err error) Attempt {
	switch {
	case errors.Is(err, ErrSkip):
		a.Err = err
	case err != nil || reply.Status == Message:
		a.Err = errUnfinished
	case reply.Status == Failure && !reply.Allows(x.Name()) && x.Name() != methodNone:
		a.Err = errNotAllowed
	default:
		a.Status = reply.Status
	}
	return a
}

// KeyName returns the type of a key and its SHA-256 fingerprint, such as
// "ssh-ed25519 SHA256:…", and "" for nil. The name of a certificate has the
// certificate's type and the fingerprint of the key inside, as in the output of
// other programs: a renewed certificate keeps the name.
func KeyName(key ssh.PublicKey) string {
	if key == nil {
		return ""
	}
	name := oneLine(key.Type()) + " "
	if cert := certificate(key); cert != nil {
		return name + ssh.FingerprintSHA256(cert.Key)
	}
	return name + ssh.FingerprintSHA256(key)
}

// describe lists the parts of a certificate that may be a reason to refuse.
func describe(cert *ssh.Certificate) string {
	s := fmt.Sprintf("certificate %q for %q", clip(cert.KeyId), clip(strings.Join(cert.ValidPrincipals, ",")))
	if cert.ValidAfter > 0 {
		s += ", valid from " + moment(cert.ValidAfter)
	}
	if cert.ValidBefore < math.MaxInt64 {
		s += ", valid until " + moment(cert.ValidBefore)
	}
	if len(cert.CriticalOptions) > 0 {
		s += fmt.Sprintf(", restricted by %q", clip(strings.Join(slices.Sorted(maps.Keys(cert.CriticalOptions)), ",")))
	}
	return s
}

func moment(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxInt64)), 0).UTC().Format(time.RFC3339)
}
