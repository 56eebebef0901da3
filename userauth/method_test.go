package userauth_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/userauth"
)

// methodCase is a method and the conversation with a server.
type methodCase struct {
	name     string // on the wire
	method   userauth.Method
	declines userauth.Method // the same method with nothing to offer
	prelude  []byte          // the server's message before the verdict
	requests int             // made before the method accepts a refusal
}

func methodCases(t testing.TB) map[string]methodCase {
	keyring := agent.NewKeyring()
	require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: newRSAKey()}))
	secret := func(context.Context, int) (string, error) { return "sesame", nil }
	decline := func(context.Context, int) (string, error) { return "", userauth.ErrSkip }
	answer := func(context.Context, userauth.Challenge) ([]string, error) { return []string{"sesame"}, nil }
	silent := func(context.Context, userauth.Challenge) ([]string, error) { return nil, userauth.ErrSkip }
	prompt := infoRequest("", "", "Password: ")
	return map[string]methodCase{
		"none":         {name: "none", method: userauth.None(), requests: 1},
		"password":     {name: "password", method: userauth.Password("sesame"), requests: 1},
		"passwordFunc": {"password", userauth.PasswordFunc(secret), userauth.PasswordFunc(decline), nil, 3},
		"publicKeys":   {"publickey", userauth.PublicKeys(ed25519Signer(t)), userauth.PublicKeys(), nil, 1},
		"agent":        {"publickey", userauth.Agent(keyring), userauth.Agent(agent.NewKeyring()), nil, 1},
		"keyboardInteractive": {"keyboard-interactive", userauth.KeyboardInteractive(answer),
			userauth.KeyboardInteractive(silent), prompt, 3},
		"outsider": {"token@example.com", token("ticket"), token(""), nil, 1},
	}
}

// says returns a server that leads the method's conversation up to the verdict
// and accepts the method other.
func (c methodCase) says(verdict ...[]byte) *peer {
	return newPeer(func(packet []byte) [][]byte {
		var r request
		isRequest := ssh.Unmarshal(packet, &r) == nil
		switch {
		case isRequest && r.Method == "other@example.com":
			return [][]byte{success}
		case isRequest && c.prelude != nil:
			return [][]byte{c.prelude}
		}
		return verdict
	})
}

func TestEveryMethodMeetsEveryAnswer(t *testing.T) {
	for name, c := range methodCases(t) {
		t.Run(name+"/success", func(t *testing.T) {
			p := c.says(success)
			var trace []string
			err := userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", Methods: []userauth.Method{c.method, other{}},
				Trace: func(a userauth.Attempt) { trace = append(trace, a.Method+" "+a.Status.String()) },
			})
			require.NoError(t, err)
			require.Equal(t, []string{c.name}, p.methods(t))
			require.Equal(t, []string{c.name + " success"}, trace)
			require.False(t, p.closed)
			require.Equal(t, "bob", p.requests(t)[0].User)
			require.Equal(t, "ssh-connection", p.requests(t)[0].Service)
		})
		t.Run(name+"/failure", func(t *testing.T) {
			p := c.says(failure(c.name, "gssapi-with-mic"))
			e := requireError(t, authenticate(t, p, c.method))
			require.Equal(t, "bob", e.User)
			require.Equal(t, []string{c.name, "gssapi-with-mic"}, e.Allowed)
			require.NoError(t, e.Err)
			require.Equal(t, []string{c.name + ": refused"}, slices.Compact(results(e)))
			require.Len(t, p.requests(t), c.requests)
			require.NotContains(t, e.Error(), "sesame")
		})
		t.Run(name+"/partial success", func(t *testing.T) {
			p := c.says(partial("other@example.com"))
			require.NoError(t, authenticate(t, p, c.method, other{}))
			require.Equal(t, []string{c.name, "other@example.com"}, p.methods(t))
		})
		if c.declines != nil {
			t.Run(name+"/skip", func(t *testing.T) {
				p := c.says(failure(c.name))
				e := requireError(t, authenticate(t, p, c.declines))
				require.Len(t, e.Tried, 1)
				require.ErrorIs(t, e.Tried[0].Err, userauth.ErrSkip)
				require.NotErrorIs(t, e, userauth.ErrSkip)
				require.NoError(t, authenticate(t, c.says(), c.declines, other{}))
			})
		}
		t.Run(name+"/banner", func(t *testing.T) {
			var shown []string
			p := c.says(banner("one"), banner("two\x1b[2J"), success)
			err := userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", Methods: []userauth.Method{c.method},
				Banner: func(text string) { shown = append(shown, text) },
			})
			require.NoError(t, err)
			require.Equal(t, []string{"one", "two[2J"}, shown)
		})
		t.Run(name+"/lost connection", func(t *testing.T) {
			e := requireError(t, authenticate(t, c.says(), c.method, other{}))
			require.ErrorIs(t, e, errBroken)
			require.Equal(t, []string{c.name + ": unfinished"}, results(e))
		})
		t.Run(name+"/write fails", func(t *testing.T) {
			p := c.says(success)
			p.writeErr = errBroken
			require.ErrorIs(t, requireError(t, authenticate(t, p, c.method, other{})), errBroken)
			require.Equal(t, []string{"service ssh-userauth", "write"}, p.events)
		})
		t.Run(name+"/stray message", func(t *testing.T) {
			p := c.says([]byte{79})
			var protocol *userauth.ProtocolError
			require.ErrorAs(t, requireError(t, authenticate(t, p, c.method, other{})), &protocol)
			require.NotContains(t, p.methods(t), "other@example.com")
		})
		t.Run(name+"/cancel", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				p := c.says()
				p.hang = true
				err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{c.method, other{}}})
				require.ErrorIs(t, requireError(t, err), context.DeadlineExceeded)
				require.True(t, p.closed)
				require.Equal(t, []string{c.name + ": unfinished"}, results(requireError(t, err)))
			})
		})
	}
}
