package userauth_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

// choosing returns a Choose that chooses the methods in turn, then nil, and
// records the Progress at each call.
func choosing(seen *[]userauth.Progress, methods ...userauth.Method) userauth.Method {
	return userauth.Choose(func(_ context.Context, p userauth.Progress) (userauth.Method, error) {
		*seen = append(*seen, p)
		if len(*seen) > len(methods) {
			return nil, nil
		}
		return methods[len(*seen)-1], nil
	})
}

func TestChooseSeesWhatTheServerStillAllows(t *testing.T) {
	var seen []userauth.Progress
	p := verdicts(failure("password", "token@example.com"), failure("password", "token@example.com"),
		partial("other@example.com"), success)
	require.NoError(t, authenticate(t, p,
		choosing(&seen, userauth.None(), token("wrong"), userauth.Password("sesame"), other{})))
	require.Equal(t, []string{"none", "token@example.com", "password", "other@example.com"}, p.methods(t))
	require.Equal(t, userauth.Progress{Tried: []userauth.Attempt{}}, userauth.Progress{Tried: append([]userauth.Attempt{}, seen[0].Tried...)})
	require.Nil(t, seen[0].Allowed)
	require.Equal(t, []string{"password", "token@example.com"}, seen[2].Allowed)
	require.Empty(t, seen[2].Accepted)
	require.Equal(t, []string{"other@example.com"}, seen[3].Allowed)
	require.Equal(t, []string{"password"}, seen[3].Accepted)
	require.Len(t, seen[3].Tried, 3)
}

func TestChooseThatDeclinesGivesWayToTheOthers(t *testing.T) {
	var seen []userauth.Progress
	p := verdicts(failure("other@example.com"), success)
	require.NoError(t, authenticate(t, p, choosing(&seen, token("wrong")), other{}))
	require.Len(t, seen, 2)

	p = verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.Choose(func(context.Context, userauth.Progress) (userauth.Method, error) {
		return nil, userauth.ErrSkip
	}), other{}))
}

func TestChosenMethodThatTheServerDoesNotAllowIsRecorded(t *testing.T) {
	var seen []userauth.Progress
	p := verdicts(failure("publickey"))
	e := requireError(t, authenticate(t, p, choosing(&seen, userauth.None(), token("x"))))
	require.Len(t, p.written, 1)
	require.Equal(t, []string{"none: refused", "token@example.com: skipped: the server does not allow the method"}, results(e))
	require.NotErrorIs(t, e, userauth.ErrSkip)
}

func TestErrorOfAChooserEndsTheLogin(t *testing.T) {
	cause := errors.New("gone home")
	e := requireError(t, authenticate(t, verdicts(), userauth.Choose(func(context.Context, userauth.Progress) (userauth.Method, error) {
		return nil, cause
	}), other{}))
	require.ErrorIs(t, e, cause)
	require.Equal(t, `userauth: user "bob" not authenticated: never tried: other@example.com; ended by gone home`, e.Error())

	var seen []userauth.Progress
	for _, m := range []userauth.Method{choosing(&seen), named("a,b")} {
		var seen []userauth.Progress
		require.ErrorContains(t, authenticate(t, verdicts(), choosing(&seen, m)), "name")
	}
}

func TestChooseIsBounded(t *testing.T) {
	for name, m := range map[string]userauth.Method{"requests": token("x"), "skips": token("")} {
		for _, verdict := range [][]byte{failure("token@example.com"), partial("token@example.com"), failure()} {
			p := newPeer(func([]byte) [][]byte { return [][]byte{verdict} })
			n := 0
			e := requireError(t, authenticate(t, p, userauth.Choose(func(context.Context, userauth.Progress) (userauth.Method, error) {
				n++
				return m, nil
			})))
			require.ErrorContains(t, e, "limit of 64", name)
			require.LessOrEqual(t, n, 65)
			require.LessOrEqual(t, len(p.written), 64)
		}
	}
}

func TestMethodWithoutANameMakesNoRequests(t *testing.T) {
	p := verdicts(success, success)
	e := requireError(t, authenticate(t, p, named(""), other{}))
	require.ErrorContains(t, e, "a method without a name cannot make requests")
	require.Empty(t, p.written)
}

// The server's list decides the order, not the order of the configuration.
func TestPartialSuccessOfThreeFactorsInAnyOrder(t *testing.T) {
	wanted := []string{"publickey", "password", "keyboard-interactive"}
	for order := range permutations(wanted) {
		for ours := range permutations(wanted) {
			var asked []userauth.Challenge
			methods := map[string]userauth.Method{
				"publickey": userauth.PublicKeys(ed25519Signer(t)), "password": userauth.Password("sesame"),
				"keyboard-interactive": answers(&asked),
			}
			rest := slices.Clone(order)
			p := newPeer(func(packet []byte) [][]byte {
				var r request
				if packet[0] == 50 {
					r.Method = requestMethod(t, packet)
				}
				switch {
				case r.Method == "keyboard-interactive" && r.Method == rest[0]:
					return [][]byte{infoRequest("", "", "Code: ")}
				case packet[0] == 50 && r.Method != rest[0]:
					return [][]byte{failure(rest[0])}
				case len(rest) == 1:
					return [][]byte{success}
				}
				rest = rest[1:]
				return [][]byte{partial(rest[0])}
			})
			require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", RequireFactors: 3,
				Methods: []userauth.Method{methods[ours[0]], methods[ours[1]], methods[ours[2]]},
			}), "%v %v", order, ours)
			require.LessOrEqual(t, len(p.requests(t)), 4)
		}
	}
}
