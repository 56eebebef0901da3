package userauth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
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

// A4: endless failures.
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
	require.Equal(t, []string{"none: refused", "password: skipped: the server does not allow the method"}, results(e))
}

func TestDemandForANewPassword(t *testing.T) {
	demand := demand("expired\x1b[2J\nchange it")
	p := verdicts(demand, success)
	e := requireError(t, authenticate(t, p, userauth.Password("sesame"), other{}))
	require.ErrorIs(t, e, userauth.ErrPasswordExpired)
	require.ErrorContains(t, e, `the password has expired: "expired[2J change it"`)
	require.NotContains(t, e.Error(), "sesame")
	require.Len(t, p.written, 1)

	var protocol *userauth.ProtocolError
	e = requireError(t, authenticate(t, verdicts(demand[:5]), userauth.Password("sesame")))
	require.ErrorAs(t, e, &protocol)
}

// demand returns the server's demand for a new password.
func demand(prompt string) []byte {
	return ssh.Marshal(wire.UserauthPasswdChangeReqMsg{Prompt: prompt})
}

// constant returns a func for PasswordFunc.
func constant(secret string) func(context.Context, int) (string, error) {
	return func(context.Context, int) (string, error) { return secret, nil }
}

func TestPasswordIsChangedOnDemand(t *testing.T) {
	var asked []string
	method := userauth.PasswordChange(constant("sesame"), func(_ context.Context, attempt int, prompt string) (string, error) {
		asked = append(asked, fmt.Sprint(attempt, " ", prompt))
		return fmt.Sprint("fresh", attempt), nil
	})
	for name, tc := range map[string]struct {
		answers [][]byte
		asked   []string
		sent    string // the last request
		tried   string // the attempts; "" for success
	}{
		"no demand":   {[][]byte{success}, nil, "\x00\x00\x00\x00\x06sesame", ""},
		"changed":     {[][]byte{demand("expired"), success}, []string{"1 expired"}, "\x01\x00\x00\x00\x06sesame\x00\x00\x00\x06fresh1", ""},
		"too simple":  {[][]byte{demand("expired"), demand("too\x1b[2J\nsimple"), success}, []string{"1 expired", "2 too[2J\nsimple"}, "\x01\x00\x00\x00\x06sesame\x00\x00\x00\x06fresh2", ""},
		"more wanted": {[][]byte{demand("expired"), partial("other@example.com"), success}, []string{"1 expired"}, "", ""},
		"refused":     {[][]byte{demand("expired"), failure("password")}, []string{"1 expired"}, "\x01\x00\x00\x00\x06sesame\x00\x00\x00\x06fresh1", `password "expired": refused`},
		"never content": {[][]byte{demand("a"), demand("b"), demand("c"), demand("d"), success}, []string{"1 a", "2 b", "3 c"},
			"\x01\x00\x00\x00\x06sesame\x00\x00\x00\x06fresh3", `password "d": unfinished`},
		"a refusal before": {[][]byte{failure("password"), demand("expired"), success}, []string{"1 expired"}, "\x01\x00\x00\x00\x06sesame\x00\x00\x00\x06fresh1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			p := verdicts(tc.answers...)
			err := authenticate(t, p, method, other{})
			require.Equal(t, tc.asked, asked)
			if tc.sent != "" {
				require.Equal(t, tc.sent, string(p.requests(t)[len(p.written)-1].Payload))
			}
			if tc.tried == "" {
				require.NoError(t, err)
				return
			}
			e := requireError(t, err)
			require.Equal(t, tc.tried, e.Tried[0].String())
			require.NotContains(t, e.Error(), "sesame")
			require.NotContains(t, e.Error(), "fresh")
		})
	}
}

func TestChangeOfAPasswordMayBeDeclined(t *testing.T) {
	cause := errors.New("nobody is there")
	for _, tc := range []struct{ err, want error }{{userauth.ErrSkip, nil}, {cause, cause}} {
		method := userauth.PasswordChange(constant("sesame"), func(context.Context, int, string) (string, error) { return "", tc.err })
		err := authenticate(t, verdicts(demand("expired"), success), method, other{})
		require.ErrorIs(t, err, tc.want)
		if tc.want != nil {
			require.ErrorIs(t, err, userauth.ErrPasswordExpired)
			require.ErrorContains(t, err, `the password has expired: "expired": nobody is there`)
		}
	}
}

func TestPasswordAnswersKeyboardInteractiveWhereNothingElseIsAllowed(t *testing.T) {
	refusal := failure("keyboard-interactive")
	for name, tc := range map[string]struct {
		answers [][]byte
		sent    []string // the answers; "password" for a request of the method password
		tried   string   // "" for success
	}{
		"one hidden prompt":      {[][]byte{refusal, infoRequest("", "", "Password: "), success}, []string{"password", "sesame"}, ""},
		"notices around it":      {[][]byte{refusal, infoRequest("", "hello"), infoRequest("", "", "Password: "), infoRequest("", "bye"), infoRequest("", ""), success}, []string{"password", "", "sesame", "", ""}, ""},
		"wrong":                  {[][]byte{refusal, infoRequest("", "", "Password: "), refusal}, []string{"password", "sesame"}, `keyboard-interactive "Password:": refused`},
		"shown":                  {[][]byte{refusal, infoRequest("", "", "Name!")}, []string{"password"}, `keyboard-interactive "Name!": skipped: the server asks for more than a password`},
		"two at once":            {[][]byte{refusal, infoRequest("", "", "Password: ", "Code: ")}, []string{"password"}, `keyboard-interactive "Password: / Code:": skipped: the server asks for more than a password`},
		"a second one":           {[][]byte{refusal, infoRequest("", "", "Password: "), infoRequest("", "", "Code: ")}, []string{"password", "sesame"}, `keyboard-interactive "Password: / Code:": skipped: the server asks for more than a password`},
		"refused without prompt": {[][]byte{refusal, refusal}, []string{"password"}, "keyboard-interactive: refused"},
		"both, and it is wrong":  {[][]byte{failure("password", "keyboard-interactive"), success}, []string{"password"}, "password: refused"},
		"spent as a password":    {[][]byte{partial("keyboard-interactive"), success}, []string{"password"}, "password: partial success"},
	} {
		for kind, method := range map[string]userauth.Method{
			"Password": userauth.Password("sesame"),
			"PasswordFunc": userauth.PasswordFunc(func(_ context.Context, attempt int) (string, error) {
				if attempt > 1 {
					return "", userauth.ErrSkip
				}
				return "sesame", nil
			}),
		} {
			if kind == "PasswordFunc" && name == "wrong" {
				continue // the server may ask once more
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				p := verdicts(tc.answers...)
				err := authenticate(t, p, method)
				var sent []string
				for _, packet := range p.written {
					var r request
					var answer wire.UserauthInfoResponseMsg
					if ssh.Unmarshal(packet, &answer) == nil {
						sent = append(sent, string(answer.Answers[min(4, len(answer.Answers)):]))
					} else if require.NoError(t, ssh.Unmarshal(packet, &r)); r.Method == "password" {
						sent = append(sent, "password")
					}
				}
				require.Equal(t, tc.sent, sent)
				if tc.tried == "" {
					require.NoError(t, err)
					return
				}
				e := requireError(t, err)
				require.Equal(t, tc.tried, e.Tried[len(e.Tried)-1].String())
			})
		}
	}
}

func TestPasswordLeavesKeyboardInteractiveToAMethodForIt(t *testing.T) {
	var asked []userauth.Challenge
	p := verdicts(failure("keyboard-interactive"), infoRequest("", "", "Password: "), success)
	require.NoError(t, authenticate(t, p, userauth.Password("sesame"), answers(&asked)))
	require.Len(t, asked, 1)
}

func TestPasswordFuncIsAskedAgainInKeyboardInteractive(t *testing.T) {
	var attempts []int
	method := userauth.PasswordFunc(func(_ context.Context, attempt int) (string, error) {
		attempts = append(attempts, attempt)
		return "x", nil
	})
	p := newPeer(func(packet []byte) [][]byte {
		var r request
		if ssh.Unmarshal(packet, &r) == nil && r.Method == "keyboard-interactive" {
			return [][]byte{infoRequest("", "", "Password: ")}
		}
		return [][]byte{failure("keyboard-interactive")}
	})
	e := requireError(t, authenticate(t, p, method))
	require.Equal(t, []int{1, 2, 3}, attempts, "the first is not asked for twice")
	require.ErrorContains(t, e, `keyboard-interactive "Password:": refused, 3 times`)
}

// A5: a partial success does not repeat the password.
func TestPasswordIsNotRepeatedAfterPartialSuccess(t *testing.T) {
	p := newPeer(func([]byte) [][]byte { return [][]byte{partial("password")} })
	e := requireError(t, authenticate(t, p, userauth.Password("sesame")))
	require.Len(t, p.requests(t), 1)
	require.Equal(t, []string{"password: partial success"}, results(e))
}
