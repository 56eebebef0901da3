package knownhosts_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// verifier and preferrer are interfaces of package transport. This package does
// not import transport.
type (
	verifier interface {
		VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
	}
	preferrer interface{ HostKeyAlgorithms(addr string) []string }
)

var (
	_ verifier  = (*knownhosts.DB)(nil)
	_ preferrer = (*knownhosts.DB)(nil)
	_ verifier  = (*knownhosts.Pin)(nil)
	_ verifier  = knownhosts.Callback(nil)
)

// H3: several spellings of an address lead to the same name.
func TestNamesAreNormalized(t *testing.T) {
	for _, test := range []struct{ entry, addr string }{
		{"host.example", "HOST.example:22"},
		{"Host.EXAMPLE", "host.example:22"},
		{"host.example", "host.example.:22"},
		{"host.example.", "host.example:22"},
		{"host.example.", "host.example.:22"},
		{"[host.example.]:2222", "host.example:2222"},
		{"a,host.example.,b", "host.example:22"},
		{"*.example.", "host.example.:22"},
		{"host", "host:0022"},
		{"::1", "[0:0:0:0:0:0:0:1]:22"},
		{"2001:db8::a", "[2001:DB8::A]:22"},
		{"[2001:db8::a]:2222", "[2001:db8:0::a]:2222"},
		{"fe80::1%eth0", "[fe80::1%eth0]:22"},
		{"fe80::1%Eth0", "[FE80::1%ETH0]:22"},
		{"192.0.2.1", "192.0.2.1:22"},
	} {
		d := knownhosts.Parse("f", []byte(test.entry+" "+text(key("host"))))
		require.NoError(t, verify(t, d, test.addr, key("host")), "%s for %s", test.entry, test.addr)
	}
}

// H3: similar names do not match.
func TestNamesThatDifferAreNotTakenForOneAnother(t *testing.T) {
	for _, test := range []struct{ entry, addr string }{
		{"*.", "host:22"},
		{"host", "\u212aost:22"},
		{"kost", "\u212aost:22"},
		{"host", "host..:22"},
		{"!host.,*", "host:22"},
		{"!host,*", "host.:22"},
		{"!hos*.,*", "host.:22"},
		{"fe80::1", "[fe80::1%eth0]:22"},
		{"fe80::1%eth1", "[fe80::1%eth0]:22"},
		{"[host]:2222", "host:2223"},
		{"[host]:2222", "host:22"},
		{"host:2222", "host:2222"},
	} {
		d := knownhosts.Parse("f", []byte(test.entry+" "+text(key("host"))))
		requireKind(t, knownhosts.Unknown, verify(t, d, test.addr, key("host")))
	}
}

func TestMalformedAddressesAreRefused(t *testing.T) {
	d := knownhosts.Parse("f", []byte("*,? "+text(key("host"))))
	for _, addr := range []string{"", "host", ":22", ".:22", "host:", "host:ssh", "host:-1", "host:65536", "::1:22", "[::1]", "a:b:22"} {
		err := verify(t, d, addr, key("host"))
		require.ErrorContains(t, err, "knownhosts: address ")
		require.Nil(t, d.HostKeyAlgorithms(addr))
		require.EqualError(t, d.Add(addr, key("other")), err.Error())
	}
	require.ErrorContains(t, verify(t, d, "host:22", nil), "no host key")
}

// H2: a revoked key is refused wherever the revocation stands.
func TestRevocationBeatsEveryMatch(t *testing.T) {
	host, ca := text(key("host")), text(key("ca"))
	trust := "host.example " + host + "\n* " + host + "\n@cert-authority * " + ca + "\n"
	hashed := "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, hosts := range []string{"*", "host.example", "elsewhere", "!host.example", hashed, "|1|malformed"} {
		revokedHost, revokedCA := "@revoked "+hosts+" "+host+"\n", "@revoked "+hosts+" "+ca+"\n"
		for _, d := range []*knownhosts.DB{
			knownhosts.Parse("f", []byte(revokedHost+trust)),
			knownhosts.Parse("f", []byte(trust+revokedHost)),
			load(t, write(t, trust), write(t, revokedHost)),
			knownhosts.Parse("f", []byte(trust+"@revoked * "+text(certificate(signer("ca"), nil)))),
		} {
			requireKind(t, knownhosts.Revoked, verify(t, d, "host.example:22", key("host")))
			requireKind(t, knownhosts.Revoked, verify(t, d, "host.example:22", certificate(signer("ca"), nil)))
			requireKind(t, knownhosts.Revoked, d.Add("new:22", key("host")))
		}
		d := knownhosts.Parse("f", []byte(trust+revokedCA))
		requireKind(t, knownhosts.Revoked, verify(t, d, "host.example:22", certificate(signer("ca"), nil)))
		requireKind(t, 0, verify(t, d, "host.example:22", key("host")))
	}
}

// K28: a server with a key of another type than the record is no new host.
func TestAnotherTypeOfKeyCountsAsChanged(t *testing.T) {
	d := knownhosts.Parse("f", []byte("host "+text(key("host"))))
	err := verify(t, d, "host:22", rsaSigner().PublicKey())
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, "offered ssh-rsa ")
	require.ErrorContains(t, err, "f:1: ssh-ed25519 ")
}

func TestHostKeyAlgorithmsFollowTheRecord(t *testing.T) {
	certificates := []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoSKED25519v01, ssh.CertAlgoSKECDSA256v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
	ed25519, ecdsa, rsa := text(key("host")), text(ecdsaSigner().PublicKey()), text(rsaSigner().PublicKey())
	for _, test := range []struct {
		name, file, addr string
		want             []string
	}{
		{"unknown", "other " + ed25519, "host:22", nil},
		{"Ed25519", "host " + ed25519, "host:22", []string{ssh.KeyAlgoED25519}},
		{"RSA without SHA-1", "host " + rsa, "host:22", []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
		{"strongest first", "host " + rsa + "\n* " + ecdsa + "\nhost " + ed25519 + "\nhost " + text(key("other")), "host:22",
			[]string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
		{"authority", "@cert-authority * " + rsa, "host:22", certificates},
		{"authority of another host", "@cert-authority other " + rsa, "host:22", nil},
		{"authority and plain key", "host " + ecdsa + "\n@cert-authority host " + ed25519, "host:22",
			append(certificates[:len(certificates):len(certificates)], ssh.KeyAlgoECDSA256)},
		{"revoked", "host " + rsa + "\nhost " + ed25519 + "\n@revoked * " + rsa, "host:22", []string{ssh.KeyAlgoED25519}},
		{"revoked authority", "@cert-authority * " + rsa + "\n@revoked * " + rsa, "host:22", nil},
		{"only revoked", "@revoked * " + rsa, "host:22", nil},
		{"port", "[host]:2222 " + rsa + "\nhost " + ed25519, "host:2222", []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
		{"port without own key, as in ssh", "host " + ed25519, "host:2222", nil},
		{"authority for the plain name", "@cert-authority host " + ed25519, "host:2222", certificates},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, knownhosts.Parse("f", []byte(test.file)).HostKeyAlgorithms(test.addr))
		})
	}
}
