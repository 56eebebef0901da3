package userauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/userauth"
)

// token is a method from outside the package: a ticket that is sent as it is.
type token string

func (token) Name() string { return "token@example.com" }

func (m token) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	if m == "" {
		return userauth.Reply{}, fmt.Errorf("%w: no ticket", userauth.ErrSkip)
	}
	return x.Request([]byte(m))
}

// other is the method that the server wants after a partial success.
type other struct{}

func (other) Name() string { return "other@example.com" }

func (other) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return x.Request(nil)
}

// methodCase is a method and how a server talks to it.
type methodCase struct {
	name     string // on the wire
	method   userauth.Method
	declines userauth.Method // the same method with nothing to offer
	prelude  []byte          // what the server says before its verdict
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

// says returns a server that leads the method's conversation up to verdict and
// lets the method other in.
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

func TestFirstRequestLeavesBeforeAnythingIsRead(t *testing.T) {
	for name, c := range methodCases(t) {
		t.Run(name, func(t *testing.T) {
			p := c.says(success)
			require.NoError(t, authenticate(t, p, c.method))
			require.Equal(t, []string{"service ssh-userauth", "write", "read"}, p.events[:3])
		})
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	cause := errors.New("user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	p := verdicts(success)
	err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.None()}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.Empty(t, p.events)
	require.True(t, p.closed)
}

func TestContextThatEndsWithTheSuccessIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newPeer(func([]byte) [][]byte { cancel(); return [][]byte{success} })
	err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.None()}})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, p.closed)
}

func TestBadConfigurationSendsNothing(t *testing.T) {
	none := []userauth.Method{userauth.None()}
	for name, config := range map[string]*userauth.Config{
		"nil":             nil,
		"empty user":      {Methods: none},
		"user with NUL":   {User: "bob\x00root", Methods: none},
		"user not UTF-8":  {User: "bob\xff", Methods: none},
		"user too long":   {User: strings.Repeat("b", 1025), Methods: none},
		"no methods":      {User: "bob"},
		"nil method":      {User: "bob", Methods: []userauth.Method{nil}},
		"bad method name": {User: "bob", Methods: []userauth.Method{named("a,b")}},
		"bad service":     {User: "bob", Methods: none, Service: "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(success)
			err := userauth.Authenticate(t.Context(), p, config)
			require.ErrorContains(t, err, "userauth: ")
			require.Empty(t, p.events)
		})
	}
}

// named is a method with a name of one's choice.
type named string

func (n named) Name() string { return string(n) }

func (n named) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return x.Request(nil)
}

// P11, A1, A3 and A4
func TestServerThatBreaksTheProtocol(t *testing.T) {
	long := make([]string, 257)
	for i := range long {
		long[i] = "m"
	}
	for name, packet := range map[string][]byte{
		"empty message":               {},
		"success with more":           {52, 0},
		"failure cut short":           failure("password")[:8],
		"failure with more":           append(failure("password"), 1),
		"failure with lying length":   {51, 0xff, 0xff, 0xff, 0xff, 0},
		"failure with too many names": failure(long...),
		"failure with a huge name":    failure(strings.Repeat("x", 8<<10)),
		"banner cut short":            banner("hello")[:7],
		"authentication request":      {50},
		"unassigned 54":               {54},
		"unassigned 59":               {59},
		"global request": ssh.Marshal(struct {
			Name string `sshtype:"80"`
		}{"x"}),
		"channel open":               {90},
		"channel data":               {94},
		"service accept":             {6},
		"method's own, not expected": {61},
		"reserved 255":               {255},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(packet, success, success)
			e := requireError(t, authenticate(t, p, token("x"), other{}))
			var protocol *userauth.ProtocolError
			require.ErrorAs(t, e, &protocol)
			require.Len(t, p.written, 1, "nothing more is sent")
		})
	}
}

// A3
func TestMethodCannotGoOnAfterAMessageOutOfPlace(t *testing.T) {
	for _, number := range []byte{50, 54, 59, 80, 94, 255} {
		p := verdicts([]byte{number}, success)
		e := requireError(t, authenticate(t, p, scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
			_, err := x.Request(nil)
			require.Error(t, err)
			_, again := x.Send([]byte{60})
			require.Equal(t, err, again)
			return userauth.Reply{}, userauth.ErrSkip
		}), other{}))
		require.ErrorContains(t, e, fmt.Sprintf("message %d during authentication", number))
		require.Len(t, p.written, 1)
	}
}

func TestEndOfTheStreamIsNotAGoodEnd(t *testing.T) {
	p := verdicts()
	p.end = io.EOF
	e := requireError(t, authenticate(t, p, userauth.None()))
	require.ErrorIs(t, e, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, e, io.EOF)
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

// A5
func TestPasswordIsNotRepeatedAfterPartialSuccess(t *testing.T) {
	p := newPeer(func([]byte) [][]byte { return [][]byte{partial("password")} })
	e := requireError(t, authenticate(t, p, userauth.Password("sesame")))
	require.Len(t, p.requests(t), 1)
	require.Equal(t, []string{"password: partial success"}, results(e))
}

// A4 and A8
func TestEndlessServerIsGivenUp(t *testing.T) {
	always := func(packet []byte) *peer {
		return newPeer(func([]byte) [][]byte { return [][]byte{packet} })
	}
	t.Run("partial success", func(t *testing.T) {
		p := always(partial("token@example.com"))
		e := requireError(t, authenticate(t, p, token("x")))
		require.ErrorContains(t, e, "limit of 64 requests")
		require.Len(t, p.requests(t), 64)
	})
	t.Run("failure", func(t *testing.T) {
		p := always(failure("publickey", "password", "token@example.com"))
		var keys []ssh.Signer
		for range 100 {
			keys = append(keys, ed25519Signer(t))
		}
		e := requireError(t, authenticate(t, p, userauth.PublicKeys(keys...)))
		require.Len(t, p.requests(t), 64)
		require.Len(t, e.Tried, 65)
		require.Contains(t, e.Error(), "and 52 more")
		require.Less(t, len(e.Error()), 4<<10)
	})
	t.Run("nothing allowed", func(t *testing.T) {
		e := requireError(t, authenticate(t, always(failure()), token("x"), other{}))
		require.NotNil(t, e.Allowed)
		require.Empty(t, e.Allowed)
		require.Equal(t, "other@example.com: skipped: the server does not offer it", e.Tried[1].String())
	})
	t.Run("banner", func(t *testing.T) {
		p := newPeer(func([]byte) [][]byte {
			return slices.Repeat([][]byte{banner("hello")}, 2000)
		})
		shown := 0
		err := userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob",
			Methods: []userauth.Method{userauth.None()}, Banner: func(string) { shown++ }})
		require.ErrorContains(t, err, "more than 1024 banners")
		require.Equal(t, 32, shown)
	})
}

// A8
func TestBannersAreBoundedAndCleaned(t *testing.T) {
	show := func(texts ...string) (shown []string) {
		p := newPeer(func([]byte) (packets [][]byte) {
			for _, text := range texts {
				packets = append(packets, banner(text))
			}
			return append(packets, success)
		})
		require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob",
			Methods: []userauth.Method{userauth.None()}, Banner: func(text string) { shown = append(shown, text) }}))
		return shown
	}
	require.Equal(t, []string{"a\n\tb]0;xc\ufffdd"}, show("a\r\n\tb\x1b]0;x\x07c\xffd\u009b\u202e\x7f\x00"))
	require.Equal(t, []string{"left right end"}, show("\u202aleft\u2066 \u2029right\u2069\ufeff \u200b\u2028end\u202c\u0085"))
	require.Empty(t, show("", "\x1b\x1b"))
	total := 0
	for _, text := range show(slices.Repeat([]string{strings.Repeat("\xff", 30<<10)}, 20)...) {
		require.LessOrEqual(t, len(text), 16<<10)
		total += len(text)
	}
	require.LessOrEqual(t, total, 64<<10)
	require.Greater(t, total, 60<<10)
}

// liar claims what the server did not say.
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

// scripted is a method made of a func.
type scripted func(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error)

func (scripted) Name() string { return "scripted@example.com" }

func (m scripted) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return m(ctx, x)
}

func TestExchangeTellsAMethodWhatItMayKnow(t *testing.T) {
	p := verdicts([]byte{65, 1, 2}, failure("scripted@example.com"), success)
	p.extensions["x@example.com"] = []byte("value")
	seen := 0
	err := authenticate(t, p, scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
		require.Equal(t, "bob", x.User())
		require.Nil(t, x.Allowed())
		value, ok := x.Extension("x@example.com")
		require.True(t, ok)
		require.Equal(t, "value", string(value))
		value[0] = 'X'
		require.Equal(t, "value", string(p.extensions["x@example.com"]))
		x.SessionID()[0] = 'X'
		require.Equal(t, "the session identifier", string(x.SessionID()))

		reply, err := x.Request([]byte("fields"))
		require.NoError(t, err)
		require.Equal(t, userauth.Message, reply.Status)
		_, err = x.Send([]byte{80})
		require.ErrorContains(t, err, "60 to 79")
		verdict, err := x.Send([]byte{66, 3})
		require.NoError(t, err)
		require.Equal(t, []byte{65, 1, 2}, reply.Packet, "the packet is a copy")
		require.Equal(t, []string{"scripted@example.com"}, x.Allowed())

		verdict, err = x.Request(nil)
		require.NoError(t, err)
		require.Equal(t, userauth.Success, verdict.Status)
		_, err = x.Request(nil)
		require.ErrorContains(t, err, "already granted")
		seen++
		return verdict, nil
	}))
	require.NoError(t, err)
	require.Equal(t, 1, seen)
	require.Len(t, p.written, 3)
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

// twoAtOnce is a method whose last two messages have one answer, as the last
// token and the MIC of gssapi-with-mic have (RFC 4462 section 3.5).
type twoAtOnce struct{}

func (twoAtOnce) Name() string { return "two-at-once@example.com" }

func (twoAtOnce) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	reply, err := x.Request(nil)
	if err != nil || reply.Status != userauth.Message {
		return reply, err
	}
	return x.Send([]byte{61, 't'}, []byte{66, 'm'})
}

func TestMessagesThatShareAnAnswer(t *testing.T) {
	p := newPeer(func(packet []byte) [][]byte {
		switch packet[0] {
		case 50:
			return [][]byte{{60}}
		case 66:
			return [][]byte{{52}}
		}
		return nil
	})
	err := userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob", Methods: []userauth.Method{twoAtOnce{}}})
	require.NoError(t, err)
	require.Equal(t, [][]byte{{61, 't'}, {66, 'm'}}, p.written[1:])
}
