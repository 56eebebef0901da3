package knownhosts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

func TestRefusalsTellTheOperatorWhatIsOnRecord(t *testing.T) {
	offered, other := ssh.FingerprintSHA256(key("host")), ssh.FingerprintSHA256(key("other"))
	cert := certificate(signer("ca"), func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter })
	ca := ssh.FingerprintSHA256(key("ca"))
	for _, test := range []struct {
		file string
		key  ssh.PublicKey
		want string
	}{
		{"", key("host"), `knownhosts: unknown host key: server "host.example:22" offered ssh-ed25519 ` + offered +
			`, and nothing is on record for the host; compare the fingerprint with the server's own, and record the key if they agree`},
		{"\n* " + text(key("other")) + "\n" + "host.example " + text(key("ca")), key("host"),
			`knownhosts: host key has changed: server "host.example:22" offered ssh-ed25519 ` + offered +
				`, but on record: f:2: ssh-ed25519 ` + other + `, f:3: ssh-ed25519 ` + ca +
				`; if the host was given new keys on purpose, edit the lines on record`},
		{"x\nhost.example ssh-dss AAAA\nother ssh-rsa AAAA", key("host"),
			`knownhosts: unknown host key: server "host.example:22" offered ssh-ed25519 ` + offered +
				`, and nothing is on record for the host: line f:2 about the host was passed over: key of type "ssh-dss" is not understood: ` +
				`"ssh: short read"; compare the fingerprint with the server's own, and record the key if they agree`},
		{"\n\n@revoked * " + text(key("host")), key("host"),
			`knownhosts: host key is revoked: server "host.example:22" offered ssh-ed25519 ` + offered +
				`, revoked by @revoked f:3: ssh-ed25519 ` + offered + `; the server needs another key`},
		{"@cert-authority * " + text(key("ca")), cert,
			`knownhosts: bad host certificate: server "host.example:22" offered ssh-ed25519-cert-v01@openssh.com ` + offered +
				` signed by authority ssh-ed25519 ` + ca + `: ssh: cert has expired; on record: @cert-authority f:1: ssh-ed25519 ` + ca +
				`; the authority has to certify the server's key for this name and time`},
	} {
		err := verify(t, knownhosts.Parse("f", []byte(test.file)), "host.example:22", test.key)
		require.EqualError(t, err, test.want)
	}
	many := strings.Repeat("* "+text(key("other"))+"\n", 1000)
	err := verify(t, knownhosts.Parse("f", []byte(many)), "host:22", key("host"))
	require.ErrorContains(t, err, "and 992 more")
	var refusal *knownhosts.KeyError
	require.ErrorAs(t, err, &refusal)
	require.Len(t, refusal.Known, 1000)
	require.Equal(t, knownhosts.Line{File: "f", Number: 1000, Key: key("other")}, refusal.Known[999])
	require.Equal(t, []string{"host:22", "changed"}, []string{refusal.Addr, refusal.Kind.String()})
}

// Names of files, resolvers and a person's program may say anything.
func TestErrorsAreOneLine(t *testing.T) {
	const evil = "a\nb\x1b[2J\u202e"
	d := knownhosts.Parse(evil, []byte("x\nhost "+text(key("other"))))
	lookup := &knownhosts.DNS{Resolver: &zone{err: errors.New(evil)}}
	for _, text := range []string{
		verify(t, d, "host:22", key("host")).Error(),
		verify(t, d, "other:22", key("host")).Error(),
		d.Skipped()[0].Error(),
		lookup.VerifyHostKey(t.Context(), "host:22", nil, key("host")).Error(),
		knownhosts.Line{File: evil, Key: key("host")}.String(),
		knownhosts.Change{Name: evil, File: evil, Err: errors.New(evil)}.String(),
		knownhosts.Change{Name: evil, File: evil, Key: key("host")}.String(),
	} {
		require.NotContains(t, text, "\n")
		require.NotContains(t, text, "\x1b")
		require.NotContains(t, text, "\u202e")
	}
}

func TestKindsHaveNames(t *testing.T) {
	require.Equal(t, "unknown changed revoked bad certificate address changed Kind(0)", strings.TrimSpace(fmt.Sprintln(
		knownhosts.Unknown, knownhosts.Changed, knownhosts.Revoked, knownhosts.BadCertificate, knownhosts.AddressChanged, knownhosts.Kind(0))))
}
