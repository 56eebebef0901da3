package hostkeys_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/hostkeys"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

var (
	_ hostkeys.Learner           = (*knownhosts.Policy)(nil)
	_ hostkeys.Rotator           = (*knownhosts.Policy)(nil)
	_ transport.HostKeyVerifier  = (*knownhosts.DB)(nil)
	_ hostkeys.Transport         = tracing{}
	_ connection.Transport       = tracing{}
	_ transport.HostKeyPreferrer = (*knownhosts.Policy)(nil)
	_ transport.HostKeyVerifier  = verifier{}
)

// tracing is a decorator with an embedded transport.Conn.
type tracing struct{ *transport.Conn }

// settled is a Transport without a network.
type settled struct{ key ssh.PublicKey }

func (s settled) State() transport.State { return transport.State{HostKey: s.key} }
func (s settled) SessionID() []byte      { return []byte("session") }
func (s settled) RemoteAddr() net.Addr   { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22} }

// verifier is a Learner and Rotator of functions.
type verifier struct {
	knownhosts.InsecureAcceptAny
	learn  func(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
	update func(ctx context.Context, announced []ssh.PublicKey) error
}

func (v verifier) LearnHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	return v.learn(ctx, addr, remote, key)
}

func (v verifier) RotateHostKeys(
	ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey, announced []ssh.PublicKey,
	_ func(context.Context, []ssh.PublicKey) error,
) error {
	return v.update(ctx, announced)
}

func TestVerifierLearnsTheKeyOfTheHandshake(t *testing.T) {
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()
	var learned []ssh.PublicKey
	v := verifier{learn: func(_ context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
		require.Equal(t, "host:22", addr)
		require.Equal(t, "192.0.2.1:22", remote.String())
		learned = append(learned, key)
		return nil
	}}
	require.NoError(t, hostkeys.Learn(t.Context(), settled{key}, "host:22", v))
	require.Equal(t, []ssh.PublicKey{key}, learned)
}

func TestOtherVerifiersAreLeftAlone(t *testing.T) {
	v := knownhosts.InsecureAcceptAny{}
	require.NoError(t, hostkeys.Learn(t.Context(), settled{}, "host:22", v))
	h, ok := hostkeys.Handler(settled{}, "host:22", v)
	require.False(t, ok)
	require.Nil(t, h)
	_, ok = hostkeys.Handler(settled{}, "host:22", nil)
	require.False(t, ok)
}

func TestKeyThatMustNotBeLearnedIsAHostKeyError(t *testing.T) {
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()
	revoked := errors.New("revoked meanwhile")
	v := verifier{learn: func(context.Context, string, net.Addr, ssh.PublicKey) error { return revoked }}
	err := hostkeys.Learn(t.Context(), settled{key}, "host:22", v)
	require.ErrorIs(t, err, revoked)
	var refusal *transport.HostKeyError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, key, refusal.Key)
	require.Equal(t, "host:22", refusal.Addr)
}

func TestLearnKeepsTheCauseOfTheContext(t *testing.T) {
	cause := errors.New("the deployment was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	v := verifier{learn: func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
		cancel(cause)
		<-ctx.Done()
		return ctx.Err()
	}}
	err := hostkeys.Learn(ctx, settled{}, "host:22", v)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
}

func TestUpdateEndsWithTheConnection(t *testing.T) {
	host := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	started, ended := make(chan struct{}), make(chan struct{})
	v := verifier{
		learn: func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil },
		update: func(ctx context.Context, announced []ssh.PublicKey) error {
			close(started)
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		},
	}
	a := &announcer{hostKey: host, announced: [][]byte{host.PublicKey().Marshal()}}
	nc, _ := a.start()
	conn := connect(t, nc, "user", "host:22", v, userauth.None())
	<-started
	_, err := conn.Request(t.Context(), "x", nil) // further requests do not wait
	require.ErrorAs(t, err, new(*connection.RequestError))
	require.NoError(t, conn.Close())
	<-ended
}

// No key of a server is recorded after a refused login.
func TestKeyIsLearnedAfterAuthenticationOnly(t *testing.T) {
	host := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	learned := 0
	v := verifier{
		learn:  func(context.Context, string, net.Addr, ssh.PublicKey) error { learned++; return nil },
		update: func(context.Context, []ssh.PublicKey) error { return nil },
	}
	a := &announcer{hostKey: host}
	nc, _ := a.start()
	_, err := stack(t.Context(), nc, "user", "host:22", v)
	require.Error(t, err)
	require.Zero(t, learned)

	nc, _ = a.start()
	connect(t, nc, "user", "host:22", v, userauth.None())
	require.Equal(t, 1, learned)
}
