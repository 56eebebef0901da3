package knownhosts_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// wire is a key blob of strings.
func wire(fields ...string) string {
	var blob []byte
	for _, f := range fields {
		blob = append(blob, ssh.Marshal(struct{ S string }{f})...)
	}
	return base64.StdEncoding.EncodeToString(blob)
}

// H1
func TestLinesAreSkippedWithTheirReason(t *testing.T) {
	good := text(key("host"))
	encoded := strings.Fields(good)[1]
	dsa := base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
		Type       string
		P, Q, G, Y []byte
	}{"ssh-dss", append([]byte{0, 0x80}, make([]byte, 127)...), append([]byte{0, 0x80}, make([]byte, 19)...),
		[]byte{2}, []byte{2}}))
	for _, test := range []struct{ name, line, reason string }{
		{"host only", "host", "lacks"},
		{"type only", "host ssh-ed25519", "lacks"},
		{"key without type", "host " + encoded, "lacks"},
		{"marker only", "@revoked", "lacks"},
		{"marker without host", "@cert-authority " + good, "lacks"},
		{"unknown marker", "@rovoked * " + good, `unknown marker "@rovoked"`},
		{"marker in capitals", "@REVOKED * " + good, "unknown marker"},
		{"marker alone in a sign", "@ host " + good, "unknown marker"},
		{"two markers", "@cert-authority @revoked * " + good, "more than one marker"},
		{"marker twice", "@revoked @revoked * " + good, "more than one marker"},
		{"no-break space", "host\u00a0" + good, "lacks"},
		{"form feed", "host\f" + good, "lacks"},
		{"no-break space before type", "host \u00a0" + good, "is said to be"},
		{"NUL", "host\x00x " + good, "NUL"},
		{"not base64", "host ssh-ed25519 AAAA!", "not base64"},
		{"cut base64", "host ssh-ed25519 " + encoded[:len(encoded)-3], "not base64"},
		{"cut key", "host ssh-ed25519 " + encoded[:len(encoded)-4], "not understood"},
		{"other type", "host ssh-rsa " + encoded, `of type ssh-ed25519 is said to be of type "ssh-rsa"`},
		{"algorithm of another type", "host rsa-sha2-512 " + encoded, "is said to be"},
		{"DSA", "host ssh-dss " + dsa, ""},
		{"type to come", "host ssh-mldsa-99 " + wire("ssh-mldsa-99", "x"), "not understood"},
		{"SSH 1", "host 1024 65537 1234567890", "not"},
		{"certificate", "host " + text(certificate(t, signer("ca"), nil)), "holds a certificate"},
		{"certificate as authority", "@cert-authority * " + text(certificate(t, signer("ca"), nil)), "holds a certificate"},
		{"hash of another kind", "|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"hash without sum", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"short salt", "|1|AAAA|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"long sum", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA " + good, "malformed"},
		{"two hashes", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=,host " + good, "malformed"},
		{"long pattern", "host," + strings.Repeat("a", 2000) + " " + good, "too long"},
		{"long nonsense", strings.Repeat("\x1b]0;", 5000) + " " + strings.Repeat("\x1b", 5000) + " AAAA", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := knownhosts.Parse("f", []byte("one "+good+"\n"+test.line+"\ntwo "+good+"\n"))
			require.Len(t, d.Skipped(), 1)
			require.Equal(t, 2, d.Skipped()[0].Number)
			require.ErrorContains(t, d.Skipped()[0], test.reason)
			require.Less(t, len(d.Skipped()[0].Error()), 2500)
			require.NotContains(t, d.Skipped()[0].Error(), "\x1b")
			requireKind(t, 0, verify(t, d, "one:22", key("host")))
			requireKind(t, 0, verify(t, d, "two:22", key("host")))
			requireKind(t, knownhosts.Unknown, verify(t, d, "host:22", key("host")))
			requireKind(t, knownhosts.Unknown, verify(t, d, "host.example:22", certificate(t, signer("host"), nil)))
		})
	}
}

// H1
func TestLinesAreUnderstood(t *testing.T) {
	good := text(key("host"))
	for _, test := range []struct{ name, line string }{
		{"plain", "host " + good},
		{"comment", "host " + good + " joe@home # x\ty"},
		{"spaces and tabs", " \t host \t " + strings.Replace(good, " ", "\t\t", 1) + " \t"},
		{"CRLF", "host " + good + "\r"},
		{"comment before", "# comment\n\t # another\nhost " + good},
		{"blank lines before", "\n \t\n\r\nhost " + good},
		{"byte order mark", "\ufeffhost " + good},
		{"binary before", "\xff\xfe\x00\nhost " + good},
		{"empty names", ",,host,, " + good},
		{"other types", "host " + text(rsaSigner().PublicKey()) + "\nhost " + text(ecdsaSigner().PublicKey()) + "\nhost " + good},
	} {
		d := knownhosts.Parse("f", []byte(test.line))
		requireKind(t, 0, verify(t, d, "host:22", key("host")))
		requireKind(t, knownhosts.Changed, verify(t, d, "host:22", key("other")))
	}
}

// OpenSSH understands such lines, so they revoke something.
func TestAlgorithmStandsForTheTypeOfItsKeys(t *testing.T) {
	k := rsaSigner().PublicKey()
	encoded := strings.Fields(text(k))[1]
	for _, algorithm := range []string{ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512} {
		d := knownhosts.Parse("f", []byte("host "+algorithm+" "+encoded))
		requireKind(t, 0, verify(t, d, "host:22", k))
		d = knownhosts.Parse("f", []byte("host "+text(k)+"\n@revoked * "+algorithm+" "+encoded))
		requireKind(t, knownhosts.Revoked, verify(t, d, "host:22", k))
	}
}

// H1
func TestByteOrderMarkDoesNotHideARevocation(t *testing.T) {
	d := knownhosts.Parse("f", []byte("\ufeff@revoked * "+text(key("host"))+"\nhost "+text(key("host"))))
	requireKind(t, knownhosts.Revoked, verify(t, d, "host:22", key("host")))
}

// H3
func TestWildcardsTakeLinearTime(t *testing.T) {
	name := strings.Repeat("a", 64<<10)
	pattern := strings.Repeat("a*", 200) + "b"
	d := knownhosts.Parse("f", []byte(pattern+" "+text(key("host"))))
	require.Empty(t, d.Skipped())
	requireKind(t, knownhosts.Unknown, verify(t, d, name+":22", key("host")))
	requireKind(t, 0, verify(t, d, name+"b:22", key("host")))
	cert := certificate(t, signer("ca"), func(c *ssh.Certificate) { c.ValidPrincipals = []string{pattern} })
	d = knownhosts.Parse("f", []byte("@cert-authority * "+text(key("ca"))))
	requireKind(t, knownhosts.BadCertificate, verify(t, d, name+":22", cert))
}
