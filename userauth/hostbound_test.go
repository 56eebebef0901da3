package userauth_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

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

// newBoundPeer returns a server that takes hostbound requests, as its first
// answer says or, if early, as is known before.
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

// A10
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

// An agent signs with a key that is for certain servers only when it sees which
// one it is for.
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

// A10
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
