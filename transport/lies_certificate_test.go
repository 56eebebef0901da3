package transport_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// certificateMsg is an Ed25519 certificate, OpenSSH PROTOCOL.certkeys.
type certificateMsg struct {
	Type                    string
	Nonce, Key              []byte
	Serial                  uint64
	CertType                uint32
	ID                      string
	Principals              []byte
	After, Before           uint64
	Critical, Extensions    []byte
	Reserved                []byte
	SignatureKey, Signature []byte
}

// K26, as far as no authority is needed. The checks of a verifier are tested in package
// knownhosts.
func TestLiesInCertificates(t *testing.T) {
	ca, plain := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	key := sshtest.NewCertSigner(t, ca, plain, ssh.HostCert, "127.0.0.1")
	const algorithm = ssh.CertAlgoED25519v01
	good := key.PublicKey().Marshal()
	// changed is signed again.
	changed := func(change func(m *certificateMsg)) []byte {
		var m certificateMsg
		require.NoError(t, ssh.Unmarshal(good, &m))
		change(&m)
		m.Signature = nil
		signed := ssh.Marshal(&m)
		s, err := ca.Sign(rand.Reader, signed[:len(signed)-4])
		require.NoError(t, err)
		m.Signature = ssh.Marshal(s)
		return ssh.Marshal(&m)
	}
	option := func(name, value string) []byte { return ssh.Marshal(struct{ N, V string }{name, value}) }
	rsaKey := sshtest.NewSigner(t, ssh.KeyAlgoRSA).PublicKey().Marshal()
	for name, l := range map[string]lie{
		"honest":                         {holds: true},
		"signed again":                   {blob: changed(func(*certificateMsg) {}), holds: true},
		"possession of the authority":    {sign: signing(ca, ssh.KeyAlgoED25519)},
		"trailing byte":                  {blob: append(bytes.Clone(good), 0)},
		"byte too few":                   {blob: good[:len(good)-1]},
		"key of 31 bytes":                {blob: changed(func(m *certificateMsg) { m.Key = m.Key[:31] })},
		"authority is a certificate":     {blob: changed(func(m *certificateMsg) { m.SignatureKey = good })},
		"authorities without end":        {blob: nested(good, 33000)},
		"no authority":                   {blob: changed(func(m *certificateMsg) { m.SignatureKey = nil })},
		"authority with trailing byte":   {blob: changed(func(m *certificateMsg) { m.SignatureKey = append(m.SignatureKey, 0) })},
		"principals cut short":           {blob: changed(func(m *certificateMsg) { m.Principals = m.Principals[:7] })},
		"options cut short":              {blob: changed(func(m *certificateMsg) { m.Critical = []byte{0, 0, 0, 9, 'x'} })},
		"RSA key by the name of another": {blob: changed(func(m *certificateMsg) { m.Key = rsaKey })},
		"plain key":                      {blob: plain.PublicKey().Marshal()},
		"options twice": {
			blob:   changed(func(m *certificateMsg) { m.Extensions = append(option("a", ""), option("a", "")...) }),
			differ: "OpenSSH PROTOCOL.certkeys has them in order and once each, and OpenSSH does not look",
		},
		"authority's signature changed": {
			blob:  append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1),
			holds: true, differ: "the verifier checks that for the authorities that it knows; to others it is the plain key",
		},
	} {
		l.key, l.algorithm = plain, algorithm
		if l.blob == nil {
			l.blob = good
		}
		if l.sign == nil {
			l.sign = signing(plain, ssh.KeyAlgoED25519)
		}
		t.Run(name, l.complete().judge)
	}

	// A file has room for more than a packet.
	_, err := ssh.ParsePublicKey(nested(good, 10<<20))
	require.ErrorContains(t, err, "invalid for certificates")
}

// nested is a certificate by a certificate by a certificate, up to a size.
func nested(blob []byte, size int) []byte {
	var m certificateMsg
	if err := ssh.Unmarshal(blob, &m); err != nil {
		panic(err)
	}
	m.Nonce, m.SignatureKey, m.Signature = nil, nil, nil
	empty := ssh.Marshal(&m)
	head, tail := empty[:len(empty)-8], empty[len(empty)-4:]
	var outer []byte
	levels := (size - len(blob)) / len(empty)
	for below := levels - 1; below >= 0; below-- {
		outer = binary.BigEndian.AppendUint32(append(outer, head...), uint32(len(blob)+below*len(empty)))
	}
	return append(append(outer, blob...), bytes.Repeat(tail, levels)...)
}
