package userauth_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestPasswordOnTheWire(t *testing.T) {
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.Password("sesame")))
	require.Equal(t, "\x32\x00\x00\x00\x03bob\x00\x00\x00\x0essh-connection\x00\x00\x00\x08password"+
		"\x00\x00\x00\x00\x06sesame", string(p.written[0]))
}

func TestPasswordFuncIsToldOfRefusals(t *testing.T) {
	var attempts []int
	ask := func(_ context.Context, attempt int) (string, error) {
		attempts = append(attempts, attempt)
		return fmt.Sprintf("guess %d", attempt), nil
	}
	p := verdicts(failure("password"), failure("password"), success)
	require.NoError(t, authenticate(t, p, userauth.PasswordFunc(ask)))
	require.Equal(t, []int{1, 2, 3}, attempts)
	require.Contains(t, string(p.written[2]), "guess 3")
}

// A4
func TestPasswordFuncIsAskedThreeTimesInAll(t *testing.T) {
	calls := 0
	ask := func(context.Context, int) (string, error) { calls++; return "x", nil }
	p := newPeer(func([]byte) [][]byte { return [][]byte{partial("password")} })
	requireError(t, authenticate(t, p, userauth.PasswordFunc(ask)))
	require.Equal(t, 3, calls)
}

func TestPasswordFuncMayDeclineAfterARefusal(t *testing.T) {
	ask := func(_ context.Context, attempt int) (string, error) {
		if attempt > 1 {
			return "", userauth.ErrSkip
		}
		return "x", nil
	}
	p := verdicts(failure("password", "other@example.com"), success)
	require.NoError(t, authenticate(t, p, userauth.PasswordFunc(ask), other{}))
}

func TestPasswordIsNotAskedForWhenTheServerTakesNone(t *testing.T) {
	ask := func(context.Context, int) (string, error) {
		require.FailNow(t, "asked")
		return "", nil
	}
	p := verdicts(failure("publickey"))
	e := requireError(t, authenticate(t, p, userauth.None(), userauth.PasswordFunc(ask)))
	require.Equal(t, []string{"none: refused", "password: skipped: not allowed by the server at this point"}, results(e))
}

func TestDemandForANewPassword(t *testing.T) {
	demand := ssh.Marshal(struct {
		Prompt, Language string `sshtype:"60"`
	}{"expired\x1b[2J\nchange it", ""})
	p := verdicts(demand, success)
	e := requireError(t, authenticate(t, p, userauth.Password("sesame"), other{}))
	require.ErrorIs(t, e, userauth.ErrPasswordExpired)
	require.ErrorContains(t, e, `the server demands a new password: "expired[2J change it"`)
	require.NotContains(t, e.Error(), "sesame")
	require.Len(t, p.written, 1)

	var protocol *userauth.ProtocolError
	e = requireError(t, authenticate(t, verdicts(demand[:5]), userauth.Password("sesame")))
	require.ErrorAs(t, e, &protocol)
}
