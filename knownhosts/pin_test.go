package knownhosts_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

func TestPinAcceptsTheKeysWithItsFingerprints(t *testing.T) {
	sha256 := ssh.FingerprintSHA256(key("host"))
	md5 := "MD5:" + ssh.FingerprintLegacyMD5(key("host"))
	other := ssh.FingerprintSHA256(key("other"))
	for _, pins := range [][]string{{sha256}, {md5}, {other, sha256}, {sha256 + "="}, {"MD5:" + strings.ToUpper(md5[4:])}} {
		p, err := knownhosts.Fingerprint(pins...)
		require.NoError(t, err)
		require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")))
		require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, certificate(signer("ca"), nil)))
		require.Error(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("ca")))
		require.Error(t, p.VerifyHostKey(t.Context(), "host:22", nil, certificate(signer("host"), func(c *ssh.Certificate) {
			c.Key = key("ca") // what counts is the certified key, not its authority
		})))
		require.ErrorContains(t, p.VerifyHostKey(t.Context(), "host:22", nil, nil), "no host key")
	}
}

func TestPinErrorShowsBothSides(t *testing.T) {
	const advice = "; compare the fingerprint with the server's own"
	sha256, md5 := ssh.FingerprintSHA256(key("other")), "MD5:"+ssh.FingerprintLegacyMD5(key("other"))
	offered := `knownhosts: host key does not match: server "host:22" offered ssh-ed25519 ` + ssh.FingerprintSHA256(key("host"))
	for _, test := range []struct {
		pins []string
		want string
	}{
		{[]string{sha256}, offered + ", but pinned: " + sha256 + advice},
		{[]string{sha256, md5}, offered + " MD5:" + ssh.FingerprintLegacyMD5(key("host")) + ", but pinned: " + sha256 + ", " + md5 + advice},
	} {
		p, err := knownhosts.Fingerprint(test.pins...)
		require.NoError(t, err)
		err = p.VerifyHostKey(t.Context(), "host:22", nil, key("host"))
		require.EqualError(t, err, test.want)
		var refusal *knownhosts.PinError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, knownhosts.PinError{Addr: "host:22", Key: key("host"), Pins: test.pins}, *refusal)
	}
}

func TestMalformedFingerprintsAreRefused(t *testing.T) {
	good := ssh.FingerprintSHA256(key("host"))
	for _, test := range []struct{ pin, reason string }{
		{"", "prefix is neither"},
		{good[len("SHA256:"):], "prefix is neither"},
		{"sha256:" + good[len("SHA256:"):], "prefix is neither"},
		{ssh.FingerprintLegacyMD5(key("host")), "prefix is neither"},
		{"SHA1:AAAA", "prefix is neither"},
		{" " + good, "prefix is neither"},
		{"SHA256:", "32 bytes"},
		{good[:len(good)-1], "32 bytes"},
		{good + "A", "32 bytes"},
		{good + "\n", "32 bytes"},
		{"SHA256:" + strings.Repeat("A", 43) + "x", "32 bytes"},
		{"MD5:", "16 hexadecimal pairs"},
		{"MD5:00112233445566778899aabbccddeeff", "16 hexadecimal pairs"},
		{"MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee", "16 hexadecimal pairs"},
		{"MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:fg", "16 hexadecimal pairs"},
	} {
		_, err := knownhosts.Fingerprint(good, test.pin)
		require.ErrorContains(t, err, test.reason, test.pin)
	}
	_, err := knownhosts.Fingerprint()
	require.ErrorContains(t, err, "no fingerprint is given")
}

func TestCallbackIsCalledWithWhatTheTransportKnows(t *testing.T) {
	refusal := errors.New("no")
	remote := &net.TCPAddr{Port: 22}
	cb := ssh.HostKeyCallback(func(addr string, r net.Addr, k ssh.PublicKey) error {
		require.Equal(t, "host:22", addr)
		require.Equal(t, net.Addr(remote), r)
		require.Equal(t, key("host"), k)
		return refusal
	})
	require.ErrorIs(t, knownhosts.Callback(cb).VerifyHostKey(t.Context(), "host:22", remote, key("host")), refusal)
	require.NoError(t, knownhosts.Callback(ssh.InsecureIgnoreHostKey()).VerifyHostKey(t.Context(), "host:22", remote, key("host")))
	require.ErrorContains(t, knownhosts.Callback(nil).VerifyHostKey(t.Context(), "host:22", remote, key("host")), "Callback is nil")
}
