package userauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// boundPeer is a peer with a host key.
type boundPeer struct {
	*peer
	key ssh.PublicKey
}

func (p boundPeer) HostKeyProof() (ssh.PublicKey, []byte) { return p.key, nil }

// newBoundPeer returns a server that takes hostbound requests. The extension
// arrives with the first answer or, if early, before.
func newBoundPeer(t testing.TB, early bool, answers ...[]byte) boundPeer {
	var p *peer
	announce := func() { p.extensions["publickey-hostbound@openssh.com"] = []byte("0") }
	p = newPeer(func([]byte) [][]byte {
		announce()
		if len(answers) == 0 {
			return nil
		}
		next := answers[0]
		answers = answers[1:]
		return [][]byte{next}
	})
	if early {
		announce()
	}
	return boundPeer{p, seededSigner(t, 9).PublicKey()}
}

func (p boundPeer) login(t testing.TB, methods ...userauth.Method) error {
	return userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob", Methods: methods})
}

const hostbound = "publickey-hostbound-v00@openssh.com"

// A10: the signature covers the server's key.
func TestHostboundOnTheWire(t *testing.T) {
	signer := seededSigner(t, 1)
	p := newBoundPeer(t, true, success)
	require.NoError(t, p.login(t, userauth.PublicKeys(signer)))

	field := func(text string) string { return string([]byte{0, 0, 0, byte(len(text))}) + text }
	request := "\x32" + field("bob") + field("ssh-connection") + field(hostbound) + "\x01" +
		field("ssh-ed25519") + field(string(signer.PublicKey().Marshal())) + field(string(p.key.Marshal()))
	signature, err := signer.Sign(nil, []byte(field("the session identifier")+request))
	require.NoError(t, err)
	require.Equal(t, request+field(string(ssh.Marshal(signature))), string(p.written[0]))
}

func TestHostboundIsUsedOnceTheServerHasSaidThatItTakesIt(t *testing.T) {
	first, second := seededSigner(t, 1), seededSigner(t, 2)
	ok := keyOK("ssh-ed25519", second.PublicKey().Marshal())
	p := newBoundPeer(t, false, failure("publickey"), success)
	require.NoError(t, p.login(t, userauth.PublicKeys(first, second)))
	require.Equal(t, []string{"publickey", hostbound}, p.methods(t))

	var trace []string
	p = newBoundPeer(t, true, failure("publickey"), ok, partial("password"), success)
	require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.PublicKeys(first, second, ed25519Signer(t)), userauth.Password("sesame")},
		Trace:   func(a userauth.Attempt) { trace = append(trace, a.Method+": "+a.Status.String()) },
	}))
	require.Equal(t, []string{hostbound, hostbound, hostbound, "password"}, p.methods(t))
	require.Equal(t, []string{"publickey: refused", "publickey: partial success", "password: success"}, trace)

	for name, prepare := range map[string]func(p *boundPeer){
		"another version": func(p *boundPeer) { p.extensions["publickey-hostbound@openssh.com"] = []byte("1") },
		"no host key":     func(p *boundPeer) { p.key = nil },
		"not announced":   func(p *boundPeer) { clear(p.extensions) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newBoundPeer(t, true, success)
			prepare(&p)
			require.NoError(t, p.login(t, userauth.PublicKeys(first)))
			require.Equal(t, []string{"publickey"}, p.methods(t))
		})
	}
}

// A signer may insist on the server's key in the signed data.
func TestSignerThatInsistsOnTheHostIsAskedAgain(t *testing.T) {
	real, calls := seededSigner(t, 1), 0
	insists := fakeSigner{real.PublicKey(), func(data []byte, _ string) (*ssh.Signature, error) {
		calls++
		var signed struct {
			Session []byte
			Request []byte `ssh:"rest"`
		}
		var r request
		if ssh.Unmarshal(data, &signed) != nil || ssh.Unmarshal(signed.Request, &r) != nil || r.Method != hostbound {
			return nil, errors.New("agent refused operation")
		}
		return real.Sign(nil, data)
	}}
	ok := keyOK("ssh-ed25519", real.PublicKey().Marshal())
	p := newBoundPeer(t, false, ok, success)
	require.NoError(t, p.login(t, userauth.PublicKeys(insists)))
	require.Equal(t, []string{"publickey", hostbound}, p.methods(t))

	calls = 0
	plain := boundPeer{verdicts(ok, success), p.key}
	e := requireError(t, plain.login(t, userauth.PublicKeys(insists)))
	require.ErrorContains(t, e, "signer: agent refused operation")
	require.Equal(t, 1, calls, "nothing has changed for the signer")
	require.Len(t, e.Tried, 1)
}

// A10: OpenSSH verifies the same bytes.
func TestOpenSSHTakesHostboundRequests(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		HostCA: sshtest.NewSigner(t, ssh.KeyAlgoED25519),
		Config: []string{"LogLevel DEBUG2"},
	})
	for _, algorithm := range []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoED25519, ssh.CertAlgoED25519v01} {
		t.Run(algorithm, func(t *testing.T) {
			nc, err := net.Dial("tcp", s.Addr)
			require.NoError(t, err)
			anyHost := func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil }
			c := transport.Client(nc, &transport.Config{
				HostKey: transport.HostKeyFunc(anyHost), HostKeyAlgorithms: []string{algorithm}, Addr: s.Addr,
			})
			defer c.Close()
			require.NoError(t, c.Handshake(t.Context()))
			require.NoError(t, userauth.Authenticate(t.Context(), c, &userauth.Config{
				User: s.User, Methods: []userauth.Method{userauth.PublicKeys(ed25519Signer(t), s.Signer)},
			}))
		})
	}
	require.Equal(t, 3, strings.Count(s.Log(), "try method "+hostbound))
}

func TestExpiredCertificatesAreNamedAndNotOffered(t *testing.T) {
	ca, key := ed25519Signer(t), ed25519Signer(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "bob's \x1b",
		ValidBefore: uint64(time.Now().Add(-time.Minute).Unix())}
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	certified, err := ssh.NewCertSigner(cert, key)
	require.NoError(t, err)
	keys := []ssh.Signer{certified, key}
	server := newKeyScript(t, keys, "-")
	e := requireError(t, userauth.Authenticate(t.Context(), server, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)},
	}))
	require.Equal(t, "1*", server.offers())
	require.ErrorIs(t, e.Tried[0].Err, userauth.ErrSkip)
	require.ErrorContains(t, e, `the certificate "bob's \x1b" has expired at `)
}

// changing is a signer with another key at each call, and in the end none.
type changing struct {
	ssh.Signer
	keys []ssh.PublicKey
}

func (c *changing) PublicKey() (key ssh.PublicKey) {
	if len(c.keys) > 0 {
		key, c.keys = c.keys[0], c.keys[1:]
	}
	return key
}

func TestOddSignersArePassedOver(t *testing.T) {
	good := ed25519Signer(t)
	var odd []ssh.Signer
	odd = append(odd, nil, userauth.InsecureSHA1(nil), &changing{}, userauth.InsecureSHA1(&changing{}),
		&changing{good, []ssh.PublicKey{rsaSigner(t).PublicKey(), good.PublicKey()}})
	server := newKeyScript(t, []ssh.Signer{good}, "s")
	e := requireError(t, userauth.Authenticate(t.Context(), verdicts(failure("publickey")), &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(odd...)},
	}))
	require.Len(t, e.Tried, 5)
	for _, a := range e.Tried[:4] {
		require.ErrorContains(t, a.Err, "signer without a key")
	}
	require.ErrorContains(t, e.Tried[4].Err, "no safe algorithm")
	require.NoError(t, userauth.Authenticate(t.Context(), server, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(append(odd, good)...)},
	}))
}

func TestAcceptanceOfAKeyMustEchoIt(t *testing.T) {
	a, b := rsaSigner(t), ed25519Signer(t)
	blob := a.PublicKey().Marshal()
	for name, tc := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"echo":            {keyOK("rsa-sha2-512", blob), true},
		"type of the key": {keyOK("ssh-rsa", blob), true},
		"other algorithm": {keyOK("rsa-sha2-256", blob), false},
		"other key":       {keyOK("rsa-sha2-512", b.PublicKey().Marshal()), false},
		"cut short":       {keyOK("rsa-sha2-512", blob)[:20], false},
		"trailing bytes":  {append(keyOK("rsa-sha2-512", blob), 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(tc.packet, failure("publickey"))
			e := requireError(t, authenticate(t, p, userauth.PublicKeys(a, b)))
			var protocol *userauth.ProtocolError
			if tc.ok {
				require.Equal(t, "sign rsa-sha2-512", p.keyRequests(t)[1])
				return
			}
			require.ErrorAs(t, e, &protocol)
			require.Equal(t, []string{"query rsa-sha2-512", "sign ssh-ed25519"}, p.keyRequests(t))
		})
	}
}

func TestKeyAcceptedTwiceOverIsAProtocolError(t *testing.T) {
	a := ed25519Signer(t)
	ok := keyOK("ssh-ed25519", a.PublicKey().Marshal())
	p := verdicts(ok, ok, success)
	e := requireError(t, authenticate(t, p, userauth.PublicKeys(a, ed25519Signer(t)), other{}))
	var protocol *userauth.ProtocolError
	require.ErrorAs(t, e, &protocol)
	require.Len(t, p.written, 2)
}

func TestKeyThatTwoMethodsHaveIsJudgedOnce(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	p := keyServer(t, b.PublicKey())
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a), userauth.PublicKeys(a, b)))
	require.Equal(t, []string{"sign ssh-ed25519", "sign ssh-ed25519"}, p.keyRequests(t))
}

// A10: the signature covers the session identifier.
func TestSignatureIsBoundToTheSession(t *testing.T) {
	a := ed25519Signer(t)
	p := keyServer(t, a.PublicKey())
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a)))
	var k keyRequest
	require.NoError(t, ssh.Unmarshal(p.requests(t)[0].Payload, &k))
	var s struct{ Signature []byte }
	require.NoError(t, ssh.Unmarshal(k.Rest, &s))
	var signature ssh.Signature
	require.NoError(t, ssh.Unmarshal(s.Signature, &signature))

	signed := ssh.Marshal(struct {
		Session []byte
		Rest    []byte `ssh:"rest"`
	}{[]byte("another session"), p.written[0][:len(p.written[0])-len(k.Rest)]})
	require.Error(t, a.PublicKey().Verify(signed, &signature))
}
