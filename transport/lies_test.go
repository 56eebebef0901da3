package transport_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// A lie is a server's deviation in a key exchange, told to our client and to OpenSSH's.
// The signature fits the rest of the reply, unless the signature is the lie, and the
// server knows the secret of its value. A client without the check believes the lie.
type lie struct {
	kex       string // default curve25519-sha256
	key       ssh.Signer
	algorithm string // default the type of key

	value func(client []byte) (public, secret []byte) // default honest; the secret as on the wire
	blob  []byte                                      // instead of the public half of key
	sign  func(hash []byte) []byte                    // instead of an honest signature; nil: try another value

	group *gexGroup // the lie ends with the group

	holds  bool   // no lie, or without harm
	differ string // why OpenSSH 9.2 differs from us
}

// outcome is the result of a lie.
type outcome struct{ told, believed bool }

// tell answers the client's first message of the method, and waits for
// NEWKEYS.
func (l *lie) tell(p *wire.Peer, serverInit []byte, o *outcome) {
	client := wire.Expect[wire.KexECDHInitMsg](p).Public // of Diffie-Hellman an mpint: a string too
	var public, signature []byte
	for signature == nil {
		var secret []byte
		public, secret = l.value(client)
		hash := sha256.Sum256(append(ssh.Marshal(struct{ VC, VS, IC, IS, K, QC, QS []byte }{
			[]byte(p.ClientVersion), []byte(p.Version), p.ClientKexInit, serverInit, l.blob, client, public,
		}), secret...))
		signature = l.sign(hash[:])
	}
	p.Send(wire.KexECDHReplyMsg{HostKey: l.blob, Public: public, Signature: signature})
	o.told = true
	p.Send([]byte{21})
	o.believed = bytes.Equal(p.Receive(), []byte{21})
}

// complete fills in the honest parts.
func (l lie) complete() *lie {
	if l.kex == "" {
		l.kex = "curve25519-sha256"
	}
	if l.key == nil {
		l.key = hostKey()
	}
	if l.algorithm == "" {
		l.algorithm = l.key.PublicKey().Type()
	}
	if l.value == nil {
		l.value = agreeing(ecdh.X25519())
	}
	if l.blob == nil {
		l.blob = l.key.PublicKey().Marshal()
	}
	if l.sign == nil {
		l.sign = signing(l.key, l.algorithm)
	}
	return &l
}

// agreeing makes honest values of a curve.
func agreeing(curve ecdh.Curve) func(client []byte) (public, secret []byte) {
	return func(client []byte) (public, secret []byte) {
		key, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		theirs, err := curve.NewPublicKey(client)
		if err != nil {
			panic(err)
		}
		shared, err := key.ECDH(theirs)
		if err != nil {
			panic(err)
		}
		return key.PublicKey().Bytes(), mpint(new(big.Int).SetBytes(shared))
	}
}

// mpint is a number as on the wire.
func mpint(n *big.Int) []byte { return ssh.Marshal(struct{ N *big.Int }{n}) }

// signing makes honest signatures.
func signing(key ssh.Signer, algorithm string) func(hash []byte) []byte {
	return func(hash []byte) []byte {
		s, err := key.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, hash, algorithm)
		if err != nil {
			panic(err)
		}
		return ssh.Marshal(s)
	}
}

// altering makes honest signatures, and changes the bytes inside.
func altering(key ssh.Signer, algorithm string, change func(blob []byte) []byte) func(hash []byte) []byte {
	honest := signing(key, algorithm)
	return func(hash []byte) []byte {
		var s ssh.Signature
		if err := ssh.Unmarshal(honest(hash), &s); err != nil {
			panic(err)
		}
		if s.Blob = change(s.Blob); s.Blob == nil {
			return nil
		}
		return ssh.Marshal(&s)
	}
}

// judge tells a lie to our client and to OpenSSH's.
func (l *lie) judge(t *testing.T) {
	t.Parallel()
	ours := l.tellTo(t, func(server *sshtest.Server) {
		nc, err := server.DialContext(t.Context(), "tcp", server.Addr)
		require.NoError(t, err)
		r := new(recorder)
		c := transport.Client(nc, &transport.Config{
			HostKey: r, KeyExchanges: []string{l.kex}, HostKeyAlgorithms: []string{l.algorithm}, HandshakeTimeout: 20 * time.Second,
		})
		err = c.Handshake(t.Context())
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		if !l.holds {
			requireEnded(t, c, err)
			require.Empty(t, r.calls, "asked about a key before its proof")
		}
		require.NoError(t, c.Close())
	})
	require.Equal(t, outcome{told: true, believed: l.holds}, ours)
	says := ""
	theirs := l.tellTo(t, func(server *sshtest.Server) { says = openSSH(t, server, l) })
	require.True(t, theirs.told, says)
	require.Equal(t, l.holds != (l.differ != ""), theirs.believed, says)
}

// tellTo runs a client against a server that lies, and returns the outcome.
func (l *lie) tellTo(t *testing.T, run func(server *sshtest.Server)) (o outcome) {
	over := make(chan struct{})
	run(sshtest.NewServer(t, &sshtest.Options{Script: func(p *wire.Peer) {
		defer close(over)
		var serverInit []byte
		p.HostKey, p.Lax = l.key, true
		p.KexInit = func(m *wire.KexInitMsg) {
			m.Kex, m.HostKey = []string{l.kex}, []string{l.algorithm}
			serverInit = ssh.Marshal(m)
		}
		p.SendVersion()
		p.ReceiveVersion()
		p.SendKexInit()
		p.ReceiveKexInit()
		if l.group != nil {
			p.Receive(34)
			p.Send(ssh.Marshal(l.group))
			o.told = true
			o.believed = p.Receive()[0] == 32
			return
		}
		l.tell(p, serverInit, &o)
	}}))
	<-over
	return o
}

// openSSH runs ssh(1), told to believe every key, and returns the output.
func openSSH(t *testing.T, server *sshtest.Server, l *lie) string {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "LogLevel=INFO",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=none",
		"-o", "KexAlgorithms="+l.kex, "-o", "HostKeyAlgorithms="+l.algorithm, host, "true").CombinedOutput()
	require.Error(t, err) // the script ends after NEWKEYS at the latest
	require.NoError(t, t.Context().Err(), "%s", out)
	return string(out)
}
