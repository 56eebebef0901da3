package userauth_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// A2: access for fewer factors than required.
func TestFactorsThatAreRequired(t *testing.T) {
	var asked []userauth.Challenge
	fresh := func(context.Context, int, string) (string, error) { return "fresh", nil }
	first := func(_ context.Context, p userauth.Progress) (userauth.Method, error) {
		if p.Allowed == nil {
			return userauth.None(), nil
		}
		return userauth.Password("x"), nil
	}
	key, more := ed25519Signer(t), ed25519Signer(t)
	for name, tc := range map[string]struct {
		method  userauth.Method
		answers [][]byte
		proofs  int
	}{
		"none":                        {userauth.None(), [][]byte{success}, 0},
		"key asked about":             {userauth.PublicKeys(key, more), [][]byte{success}, 0},
		"no prompt":                   {answers(&asked), [][]byte{success}, 0},
		"notice":                      {answers(&asked), [][]byte{infoRequest("", "hello"), success}, 0},
		"password without its prompt": {userauth.Password("x"), [][]byte{failure("keyboard-interactive"), success}, 0},
		"prompt":                      {answers(&asked), [][]byte{infoRequest("", "", "?"), success}, 1},
		"key":                         {userauth.PublicKeys(key), [][]byte{success}, 1},
		"key and none":                {userauth.PublicKeys(key), [][]byte{partial("other@example.com"), success}, 2},
		"password":                    {userauth.Password("x"), [][]byte{success}, 1},
		"changed password": {userauth.PasswordChange(constant("x"), fresh),
			[][]byte{demand("expired"), success}, 1},
		"password as an answer": {userauth.Password("x"), [][]byte{failure("keyboard-interactive"), infoRequest("", "", "?"), success}, 1},
		"hostbased":             {userauth.Hostbased("h", "u", key), [][]byte{success}, 1},
		"chosen":                {userauth.Choose(first), [][]byte{partial("password"), success}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for required := range 4 {
				p := verdicts(slices.Clone(tc.answers)...)
				err := userauth.Authenticate(t.Context(), p, &userauth.Config{
					User: "bob", RequireFactors: required, Methods: []userauth.Method{tc.method, other{}},
				})
				if required <= tc.proofs {
					require.NoError(t, err)
					require.False(t, p.closed)
					continue
				}
				e := requireError(t, err)
				require.ErrorIs(t, e, userauth.ErrTooFewFactors)
				require.Equal(t, userauth.Success, e.Tried[len(e.Tried)-1].Status)
				require.True(t, p.closed)
			}
		})
	}
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

func TestMethodsAreFilteredByTheServersList(t *testing.T) {
	p := verdicts(failure("other@example.com"), success)
	require.NoError(t, authenticate(t, p, token("x"), userauth.Password("sesame"), other{}))
	require.Equal(t, []string{"token@example.com", "other@example.com"}, p.methods(t))
}

func TestWhatWasNotAllowedIsTriedAfterAPartialSuccess(t *testing.T) {
	first, second := ed25519Signer(t), ed25519Signer(t)
	p := verdicts(failure("password"), partial("publickey"), keyOK(ssh.KeyAlgoED25519, first.PublicKey().Marshal()), success)
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(first, second), userauth.Password("sesame")))
	require.Equal(t, []string{"publickey", "password", "publickey", "publickey"}, p.methods(t))

	p = verdicts(failure("publickey"), partial("password"), success)
	require.NoError(t, authenticate(t, p, userauth.Password("sesame"), userauth.PublicKeys(first)))
	require.Equal(t, []string{"password", "publickey", "password"}, p.methods(t))
}

func TestSeveralMethodsOfOneNameHaveTheirTurns(t *testing.T) {
	p := verdicts(failure("password"), failure("password"), success)
	require.NoError(t, authenticate(t, p, userauth.Password("a"), userauth.Password("b"), userauth.Password("c")))
	require.Len(t, p.requests(t), 3)
}

// liar is a method with a verdict of its own.
type liar struct{ status userauth.Status }

func (liar) Name() string { return "liar@example.com" }

func (l liar) Try(context.Context, *userauth.Exchange) (userauth.Reply, error) {
	return userauth.Reply{Status: l.status}, nil
}

func TestMethodCannotClaimWhatTheServerDidNotSay(t *testing.T) {
	for _, status := range []userauth.Status{userauth.Success, userauth.PartialSuccess, userauth.Failure, userauth.Message} {
		t.Run(status.String(), func(t *testing.T) {
			requireError(t, authenticate(t, verdicts(), liar{status}))
		})
	}
}

func TestErrorOfAMethodEndsTheLoginAndIsReachable(t *testing.T) {
	cause := errors.New("no terminal")
	p := verdicts()
	e := requireError(t, authenticate(t, p, userauth.PasswordFunc(func(context.Context, int) (string, error) {
		return "", cause
	}), other{}))
	require.ErrorIs(t, e, cause)
	require.Equal(t, `userauth: user "bob" not authenticated: password: unfinished; never tried: other@example.com; ended by password: no terminal`, e.Error())
	require.Empty(t, p.written)
}

func TestOneMethodValueServesManyLogins(t *testing.T) {
	method := userauth.Password("sesame")
	for range 3 {
		p := verdicts(success)
		require.NoError(t, authenticate(t, p, method))
		require.Len(t, p.requests(t), 1)
	}
}
