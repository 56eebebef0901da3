package knownhosts_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// K26: a certificate of a known authority that is not good for the host, in every
// way.
func TestBadCertificatesAreRefused(t *testing.T) {
	now := uint64(time.Now().Unix())
	d := knownhosts.Parse("f", []byte("@cert-authority host.example,[::1]:2222 "+text(key("ca"))))
	for _, test := range []struct {
		name   string
		change func(c *ssh.Certificate)
		reason string // empty: accepted
	}{
		{"good", nil, ""},
		{"for ever", func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }, ""},
		{"several names", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"a", "host.example"} }, ""},
		{"capitals", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"Host.Example"} }, ""},
		{"wildcard", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*.example"} }, ""},
		{"extensions", func(c *ssh.Certificate) { c.Extensions = map[string]string{"x@example.com": ""} }, ""},
		{"for users", func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, "not a host certificate"},
		{"type 0", func(c *ssh.Certificate) { c.CertType = 0 }, "not a host certificate"},
		{"expired", func(c *ssh.Certificate) { c.ValidBefore = now - 1 }, "expired"},
		{"expires now", func(c *ssh.Certificate) { c.ValidBefore = now }, "expired"},
		{"not yet valid", func(c *ssh.Certificate) { c.ValidAfter = now + 600 }, "not yet valid"},
		{"never valid", func(c *ssh.Certificate) { c.ValidAfter = ssh.CertTimeInfinity }, "not yet valid"},
		{"other name", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"example"} }, "not for this host"},
		{"negation means nothing", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"!other"} }, "not for this host"},
		{"list in one name", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"a,host.example"} }, "not for this host"},
		{"no names", func(c *ssh.Certificate) { c.ValidPrincipals = nil }, "names no host"},
		{"empty name", func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} }, "not for this host"},
		{"many names", func(c *ssh.Certificate) {
			c.ValidPrincipals = strings.Split(strings.Repeat("host.example,", 256)+"x", ",")
		}, "more than 256"},
		{"long names", func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{strings.Repeat("\x1b", 10_000)}
		}, "not for this host"},
		{"critical option", func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{strings.Repeat("x", 1000): ""}
		}, "critical options"},
		{"known critical option", func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"source-address": "0.0.0.0/0"}
		}, "critical options"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert := certificate(signer("ca"), test.change)
			parsed, err := ssh.ParsePublicKey(cert.Marshal())
			require.NoError(t, err)
			err = verify(t, d, "host.example:22", parsed)
			if test.reason == "" {
				require.NoError(t, err)
				return
			}
			requireKind(t, knownhosts.BadCertificate, err)
			require.ErrorContains(t, err, test.reason)
			require.Less(t, len(err.Error()), 1200)
			require.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func TestForgedCertificatesAreRefused(t *testing.T) {
	d := knownhosts.Parse("f", []byte("@cert-authority * "+text(key("ca"))+"\n@cert-authority * "+text(rsaSigner().PublicKey())))
	cert := certificate(signer("ca"), nil)
	for name, change := range map[string]func(c *ssh.Certificate){
		"names":     func(c *ssh.Certificate) { c.ValidPrincipals = []string{"host.example", "b"} },
		"key":       func(c *ssh.Certificate) { c.Key = key("other") },
		"serial":    func(c *ssh.Certificate) { c.Serial++ },
		"authority": func(c *ssh.Certificate) { c.SignatureKey = rsaSigner().PublicKey() },
		"signature": func(c *ssh.Certificate) {
			c.Signature = &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, 64)}
		},
		"none": func(c *ssh.Certificate) { c.Signature = nil },
	} {
		forged := *cert
		change(&forged)
		err := verify(t, d, "host.example:22", &forged)
		requireKind(t, knownhosts.BadCertificate, err)
		require.Error(t, err, name)
	}
	requireKind(t, knownhosts.Unknown, verify(t, d, "host.example:22", certificate(signer("host"), nil)))
	requireKind(t, knownhosts.Unknown, verify(t, d, "host.example:22", key("ca")))
}

// K26: a signature of an authority with SHA-1 does not count.
func TestAuthoritySignaturesWithSHA1AreRefused(t *testing.T) {
	ca := rsaSigner()
	d := knownhosts.Parse("f", []byte("@cert-authority * "+text(ca.PublicKey())))
	for algorithm, want := range map[string]knownhosts.Kind{
		ssh.KeyAlgoRSA: knownhosts.BadCertificate, ssh.KeyAlgoRSASHA256: 0, ssh.KeyAlgoRSASHA512: 0,
	} {
		limited, err := ssh.NewSignerWithAlgorithms(ca.(ssh.AlgorithmSigner), []string{algorithm})
		require.NoError(t, err)
		requireKind(t, want, verify(t, d, "host.example:22", certificate(limited, nil)))
	}
}

func TestCertificateExpiresWhileTheProgramRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := knownhosts.Parse("f", []byte("@cert-authority * "+text(key("ca"))))
		cert := certificate(signer("ca"), nil)
		requireKind(t, 0, verify(t, d, "host.example:22", cert))
		time.Sleep(2 * time.Hour) // in the bubble's time
		requireKind(t, knownhosts.BadCertificate, verify(t, d, "host.example:22", cert))
	})
}

func TestBadCertificateNamesAuthorityAndPlainLines(t *testing.T) {
	d := knownhosts.Parse("f", []byte(fmt.Sprintf("* %s\n@cert-authority * %s", text(key("other")), text(key("ca")))))
	err := verify(t, d, "elsewhere:22", certificate(signer("ca"), nil))
	var refusal *knownhosts.KeyError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []knownhosts.Line{
		{File: "f", Number: 2, Marker: "@cert-authority", Key: key("ca")},
		{File: "f", Number: 1, Key: key("other")},
	}, refusal.Known)
	require.ErrorIs(t, err, refusal.Err)
}
