package userauth_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// permutations yields the orders of three names.
func permutations(names []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for i := range names {
			for j := range names {
				if i != j && !yield([]string{names[i], names[j], names[3-i-j]}) {
					return
				}
			}
		}
	}
}

// requestMethod returns the method of a request.
func requestMethod(t testing.TB, packet []byte) string {
	var r request
	require.NoError(t, ssh.Unmarshal(packet, &r))
	return r.Method
}

// A2
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

func TestNothingIsEarlyBeforeTheLastFactor(t *testing.T) {
	for required, want := range []string{"publickey early password", "publickey early password", "publickey password early", "publickey password"} {
		p := script([][]byte{partial("password")}, [][]byte{success})
		err := userauth.Authenticate(t.Context(), p, &userauth.Config{
			User: "bob", RequireFactors: required,
			Methods: []userauth.Method{userauth.PublicKeys(ed25519Signer(t)), userauth.Password("sesame")},
			Early:   &userauth.Early{Packets: func() [][]byte { return [][]byte{channelOpen} }},
		})
		require.Equal(t, required > 2, err != nil)
		var sent []string
		for _, packet := range p.written {
			if packet[0] == 50 {
				sent = append(sent, requestMethod(t, packet))
			} else {
				sent = append(sent, "early")
			}
		}
		require.Equal(t, want, strings.Join(sent, " "))
	}
}
