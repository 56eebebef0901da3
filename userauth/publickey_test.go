package userauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// person is a signer, and needs a person while needed is set.
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

// SignWithAlgorithm needs nobody.
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
		last    int    // the index of Config.LastKey; negative: none
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

// The agent may refuse, and then the file turn out to be encrypted.
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

func TestSingleKeyIsSignedAtOnceAndSeveralAreAskedAbout(t *testing.T) {
	a, b, c := ed25519Signer(t), ed25519Signer(t), ed25519Signer(t)
	for name, tc := range map[string]struct {
		keys   []ssh.Signer
		accept ssh.Signer
		want   []string
	}{
		"one":              {[]ssh.Signer{a}, a, []string{"sign ssh-ed25519"}},
		"first of three":   {[]ssh.Signer{a, b, c}, a, []string{"query ssh-ed25519", "sign ssh-ed25519"}},
		"last of three":    {[]ssh.Signer{a, b, c}, c, []string{"query ssh-ed25519", "query ssh-ed25519", "sign ssh-ed25519"}},
		"each key once":    {[]ssh.Signer{a, a, b, a}, b, []string{"query ssh-ed25519", "sign ssh-ed25519"}},
		"one and its twin": {[]ssh.Signer{a, a}, a, []string{"sign ssh-ed25519"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := keyServer(t, tc.accept.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(tc.keys...)))
			require.Equal(t, tc.want, p.keyRequests(t))
		})
	}
}

// A14: signers fail in many ways.
func TestSignerThatFailsGivesWayToTheNextKey(t *testing.T) {
	broken := errors.New("card removed")
	rsaKey, good := rsaSigner(t), ed25519Signer(t)
	for name, sign := range map[string]func(data []byte, algorithm string) (*ssh.Signature, error){
		"error":   func([]byte, string) (*ssh.Signature, error) { return nil, broken },
		"nothing": func([]byte, string) (*ssh.Signature, error) { return nil, nil },
		"SHA-1":   func(data []byte, _ string) (*ssh.Signature, error) { return rsaKey.Sign(rand.Reader, data) },
		"other hash": func(data []byte, _ string) (*ssh.Signature, error) {
			return rsaKey.SignWithAlgorithm(rand.Reader, data, "rsa-sha2-256")
		},
		"other data": func(_ []byte, a string) (*ssh.Signature, error) {
			return rsaKey.SignWithAlgorithm(rand.Reader, []byte("x"), a)
		},
		"other key": func(data []byte, _ string) (*ssh.Signature, error) { return good.Sign(rand.Reader, data) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := fakeSigner{rsaKey.PublicKey(), sign}
			p := keyServer(t, rsaKey.PublicKey(), good.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(bad, good)))
			require.Equal(t, []string{"query rsa-sha2-512", "sign ssh-ed25519"}, p.keyRequests(t))

			p = keyServer(t, rsaKey.PublicKey())
			e := requireError(t, authenticate(t, p, userauth.PublicKeys(bad)))
			require.Empty(t, p.written)
			require.Len(t, e.Tried, 1)
			require.ErrorContains(t, e, ssh.FingerprintSHA256(rsaKey.PublicKey()))
			require.ErrorContains(t, e, "signer: ")
			if name == "error" {
				require.ErrorIs(t, e, broken)
			}
		})
	}
}

func TestKeysGoOnAfterAPartialSuccess(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	p := verdicts(keyOK("ssh-ed25519", a.PublicKey().Marshal()), partial("publickey"), success)
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a, b)))
	requireSignature(t, p.written[1], a.PublicKey())
	requireSignature(t, p.written[2], b.PublicKey())
}

func TestKeysAreSparedWhenTheMethodIsNotAllowed(t *testing.T) {
	p := verdicts(failure("password"))
	e := requireError(t, authenticate(t, p, userauth.PublicKeys(ed25519Signer(t), ed25519Signer(t), ed25519Signer(t))))
	require.Equal(t, []string{"publickey: refused: the server does not allow the method at this point"}, results(e))
}

func TestKeysFuncIsCalledOnceAndMayDecline(t *testing.T) {
	a := ed25519Signer(t)
	calls := 0
	f := func(context.Context) ([]ssh.Signer, error) { calls++; return []ssh.Signer{a}, nil }
	p := verdicts(partial("publickey", "password"), partial("publickey"))
	requireError(t, authenticate(t, p, userauth.PublicKeysFunc(f), userauth.Password("x")))
	require.Equal(t, 1, calls)

	broken := errors.New("no such file")
	e := requireError(t, authenticate(t, verdicts(), userauth.PublicKeysFunc(func(context.Context) ([]ssh.Signer, error) {
		return nil, broken
	}), other{}))
	require.ErrorIs(t, e, broken)
}
