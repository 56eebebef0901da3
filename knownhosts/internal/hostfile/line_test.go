package hostfile_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

// wire returns a key blob of strings.
func wire(fields ...string) string {
	var blob []byte
	for _, f := range fields {
		blob = append(blob, ssh.Marshal(struct{ S string }{f})...)
	}
	return base64.StdEncoding.EncodeToString(blob)
}

// H1: a line that is not understood trusts nothing, and lines around stay good.
func TestLinesAreSkippedWithTheirReason(t *testing.T) {
	good := text(key("host"))
	encoded := strings.Fields(good)[1]
	dsa := base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
		Type       string
		P, Q, G, Y []byte
	}{"ssh-dss", append([]byte{0, 0x80}, make([]byte, 127)...), append([]byte{0, 0x80}, make([]byte, 19)...),
		[]byte{2}, []byte{2}}))
	certificate := text(hosttest.Certificate(signer("ca"), nil))
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
		{"no-break space before type", "host \u00a0" + good, "the line names"},
		{"NUL", "host\x00x " + good, "NUL"},
		{"not base64", "host ssh-ed25519 AAAA!", "not base64"},
		{"cut base64", "host ssh-ed25519 " + encoded[:len(encoded)-3], "not base64"},
		{"cut key", "host ssh-ed25519 " + encoded[:len(encoded)-4], "not understood"},
		{"other type", "host ssh-rsa " + encoded, `the line names "ssh-rsa", the key is ssh-ed25519`},
		{"algorithm of another type", "host rsa-sha2-512 " + encoded, "the line names"},
		{"DSA", "host ssh-dss " + dsa, ""},
		{"type to come", "host ssh-mldsa-99 " + wire("ssh-mldsa-99", "x"), "not understood"},
		{"SSH 1", "host 1024 65537 1234567890", "not"},
		{"certificate", "host " + certificate, "holds a certificate"},
		{"certificate as authority", "@cert-authority * " + certificate, "holds a certificate"},
		{"hash of another kind", "|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"hash without sum", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"short salt", "|1|AAAA|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "malformed"},
		{"long sum", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA " + good, "malformed"},
		{"two hashes", "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=,host " + good, "malformed"},
		{"long pattern", "host," + strings.Repeat("a", 2000) + " " + good, "too long"},
		{"long nonsense", strings.Repeat("\x1b]0;", 5000) + " " + strings.Repeat("\x1b", 5000) + " AAAA", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := parse("one " + good + "\n" + test.line + "\ntwo " + good + "\n")
			require.Len(t, c.Skipped, 1)
			require.Equal(t, 2, c.Skipped[0].Number)
			require.ErrorContains(t, c.Skipped[0], test.reason)
			require.Less(t, len(c.Skipped[0].Error()), 2500)
			require.NotContains(t, c.Skipped[0].Error(), "\x1b")
			require.Len(t, c.Lines, 2)
			require.Equal(t, []int{1}, about(c, "one"))
			require.Equal(t, []int{3}, about(c, "two"))
		})
	}
}

// H1: OpenSSH reads these forms of a line, and so do we.
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
		{"other types", "host " + text(hosttest.RSA().PublicKey()) + "\nhost " + text(hosttest.ECDSA().PublicKey()) + "\nhost " + good},
	} {
		c := parse(test.line)
		last := c.Lines[len(c.Lines)-1]
		require.Equal(t, 1+strings.Count(test.line, "\n"), last.Number, test.name)
		require.Equal(t, key("host"), last.Key, test.name)
		require.True(t, last.Names.Match("host"), test.name)
	}
}

// OpenSSH understands the name of an algorithm as a type, so such lines revoke.
func TestAlgorithmStandsForTheTypeOfItsKeys(t *testing.T) {
	k := hosttest.RSA().PublicKey()
	encoded := strings.Fields(text(k))[1]
	for _, algorithm := range []string{ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512} {
		c := parse("host " + algorithm + " " + encoded + "\n@revoked * " + algorithm + " " + encoded)
		require.Empty(t, c.Skipped)
		for i, marker := range []string{"", hostfile.Revoked} {
			require.Equal(t, k, c.Lines[i].Key)
			require.Equal(t, marker, c.Lines[i].Marker)
		}
	}
}

// H1: an editor's byte order mark does not hide a revocation.
func TestByteOrderMarkDoesNotHideARevocation(t *testing.T) {
	c := parse("\ufeff@revoked * " + text(key("host")) + "\nhost " + text(key("host")))
	require.Equal(t, hostfile.Revoked, c.Lines[0].Marker)
}

// A revocation counts whatever the names on the line are.
func TestRevocationNeedsNoNames(t *testing.T) {
	c := parse("@revoked |1|malformed " + text(hosttest.Certificate(signer("ca"), nil)))
	require.Empty(t, c.Skipped)
	require.Nil(t, c.Lines[0].Names)
	require.Equal(t, key("host"), c.Lines[0].Key, "the key within a certificate")
	require.False(t, c.Lines[0].Removable())
}

func TestLinesThatSSHKeygenRemoves(t *testing.T) {
	for names, removable := range map[string]bool{
		"host": true, "host,192.0.2.1": true, "host,a,b": false, "*.example": false, "h?st": false, "*,!host": false,
		"|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=": true,
	} {
		c := parse(names + " " + text(key("host")) + "\n@cert-authority " + names + " " + text(key("host")))
		require.Equal(t, removable, c.Lines[0].Removable(), names)
		require.False(t, c.Lines[1].Removable(), names)
	}
}
