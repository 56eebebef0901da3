package userauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// person is a signer that somebody has to help, as long as needed is set.
type person struct {
	ssh.Signer
	needed bool
	sign   func(ctx context.Context) error
	alone  func() error
}

func (p *person) Interactive() bool { return p.needed }

func (p *person) SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	if p.sign != nil {
		if err := p.sign(ctx); err != nil {
			return nil, err
		}
	}
	return p.Signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
}

// SignWithAlgorithm is what needs nobody.
func (p *person) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if p.alone != nil {
		if err := p.alone(); err != nil {
			return nil, err
		}
	}
	return p.Signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
}

func TestPeopleAreBotheredOnlyForKeysThatTheServerAccepts(t *testing.T) {
	for name, tc := range map[string]struct {
		keys    string // i: interactive, -: not
		last    int    // which is Config.LastKey; negative: none
		probes  int
		answers string
		offers  string
	}{
		"one key":                {"i", -1, 5, "+ s", "0, 0*"},
		"one key, refused":       {"i", -1, 5, "-", "0"},
		"not needed any more":    {"-", -1, 5, "s", "0*"},
		"the last of two":        {"-i", -1, 5, "-+ s", "0 1, 1*"},
		"the last, step by step": {"-i", -1, 1, "- + s", "0, 1, 1*"},
		"both refused":           {"ii", -1, 5, "--", "0 1"},
		"before one that is not": {"i-", -1, 5, "- s", "0, 1*"},
		"last key":               {"-i-", 1, 5, "+- s", "1 0, 1*"},
		"last key, refused":      {"-i-", 1, 1, "- - s", "1, 0, 2*"},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []ssh.Signer
			for _, kind := range tc.keys {
				keys = append(keys, &person{Signer: ed25519Signer(t), needed: kind == 'i'})
			}
			config := &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: tc.probes}
			if tc.last >= 0 {
				config.LastKey = userauth.KeyName(keys[tc.last].PublicKey())
			}
			server := newKeyScript(t, keys, tc.answers)
			err := userauth.Authenticate(t.Context(), server, config)
			require.Equal(t, tc.answers[len(tc.answers)-1] == 's', err == nil, err)
			require.Equal(t, tc.offers, server.offers())
		})
	}
}

// An agent that refuses, of a key whose file is encrypted, is one such.
func TestSignerThatTurnsOutToNeedAPersonIsAskedAgainIfTheServerWantsIt(t *testing.T) {
	for name, tc := range map[string]struct{ answers, offers, calls string }{
		"wanted":                    {"+ s", "0, 0*", "alone, with help"},
		"not wanted":                {"-", "0", "alone"},
		"wanted, but nobody helped": {"+ -", "0, 0*", "alone, with help"},
	} {
		t.Run(name, func(t *testing.T) {
			var calls []string
			key := &person{Signer: ed25519Signer(t)}
			key.alone = func() error {
				calls = append(calls, "alone")
				key.needed = true
				return errors.New("the agent refused")
			}
			key.sign = func(context.Context) error {
				calls = append(calls, "with help")
				return nil
			}
			server := newKeyScript(t, []ssh.Signer{key}, tc.answers)
			err := userauth.Authenticate(t.Context(), server, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.PublicKeys(key)}})
			require.Equal(t, strings.HasSuffix(tc.answers, "s"), err == nil, err)
			require.Equal(t, tc.offers, server.offers())
			require.Equal(t, tc.calls, strings.Join(calls, ", "))
			if err != nil {
				require.ErrorContains(t, err, "the agent refused")
			}
		})
	}
}

func TestThePersonLearnsOfTheEndOfTheLogin(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan struct{})
	key := &person{Signer: ed25519Signer(t), needed: true}
	key.sign = func(ctx context.Context) error {
		cancel(cause)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}
	server := newKeyScript(t, []ssh.Signer{key}, "+")
	err := userauth.Authenticate(ctx, server, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.PublicKeys(key)}})
	require.ErrorIs(t, err, cause)
	<-ended
}

func TestTheContextOfAMethodEndsWithTheLogin(t *testing.T) {
	key := ed25519Signer(t)
	var method context.Context
	keys := userauth.PublicKeysFunc(func(ctx context.Context) ([]ssh.Signer, error) {
		method = ctx
		return []ssh.Signer{key}, nil
	})
	for _, answers := range []string{"s", "-"} {
		server := newKeyScript(t, []ssh.Signer{key}, answers)
		err := userauth.Authenticate(t.Context(), server, &userauth.Config{User: "bob", Methods: []userauth.Method{keys}})
		require.Equal(t, answers == "s", err == nil)
		require.NotErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, method.Err(), context.Canceled)
	}
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
