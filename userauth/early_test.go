package userauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// channelOpen and exec stand for the early packets of a one-shot command.
var channelOpen, exec = []byte{90, 'o'}, []byte{98, 'x'}

// early returns an Early with two packets, and counts the calls.
func early(count *int) *userauth.Early {
	return &userauth.Early{Packets: func() [][]byte {
		*count++
		return [][]byte{channelOpen, exec}
	}}
}

func TestEarlyPacketsFollowTheRequestsThatCarryAProof(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	secret := func(context.Context, int) (string, error) { return "sesame", nil }
	answer := func(context.Context, userauth.Challenge) ([]string, error) { return []string{"sesame"}, nil }
	ok := [][]byte{keyOK("ssh-ed25519", a.PublicKey().Marshal())}
	won, lost := [][]byte{success}, [][]byte{failure("none", "publickey", "password", "keyboard-interactive")}
	for name, tc := range map[string]struct {
		methods []userauth.Method
		answers [][][]byte
		want    []int // packets in each flight
		outcome userauth.EarlyOutcome
	}{
		"password":             {[]userauth.Method{userauth.Password("sesame")}, [][][]byte{won}, []int{3}, userauth.EarlyGranted},
		"password of a func":   {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{won}, []int{3}, userauth.EarlyGranted},
		"one key":              {[]userauth.Method{userauth.PublicKeys(a)}, [][][]byte{won}, []int{3}, userauth.EarlyGranted},
		"key asked about":      {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{ok, won}, []int{1, 3}, userauth.EarlyGranted},
		"last of two keys":     {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{lost, won}, []int{1, 3}, userauth.EarlyGranted},
		"success to a query":   {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{won}, []int{1}, userauth.EarlyNoEffect},
		"none":                 {[]userauth.Method{userauth.None()}, [][][]byte{won}, []int{1}, userauth.EarlyNoEffect},
		"keyboard-interactive": {[]userauth.Method{userauth.KeyboardInteractive(answer)}, [][][]byte{{infoRequest("", "", "Password: ")}, won}, []int{1, 1}, userauth.EarlyNoEffect},
		"banner before":        {[]userauth.Method{userauth.Password("sesame")}, [][][]byte{{banner("hello"), success}}, []int{3}, userauth.EarlyGranted},
		"method from outside":  {[]userauth.Method{Ticket{func(context.Context, string) (string, error) { return "x", nil }, a}}, [][][]byte{won}, []int{3}, userauth.EarlyGranted},
		// After a refused request with early packets, the next request goes alone.
		"second password": {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{lost, won}, []int{3, 1}, userauth.EarlyNoEffect},
		"third password":  {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{lost, lost, won}, []int{3, 1, 3}, userauth.EarlyGranted},
		"query between": {[]userauth.Method{userauth.Password("x"), userauth.PublicKeys(a, b)},
			[][][]byte{lost, ok, won}, []int{3, 1, 3}, userauth.EarlyGranted},
		"conversation after a password": {[]userauth.Method{userauth.Password("x"), userauth.KeyboardInteractive(answer)},
			[][][]byte{lost, {infoRequest("", "", "Password: ")}, won}, []int{3, 1, 1}, userauth.EarlyNoEffect},
		"partial success": {[]userauth.Method{userauth.PublicKeys(a), userauth.Password("sesame")},
			[][][]byte{{partial("password")}, won}, []int{3, 1}, userauth.EarlyNoEffect},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			config := &userauth.Config{User: "bob", Methods: tc.methods, Early: early(&called)}
			f := &flights{peer: script(tc.answers...)}
			require.NoError(t, userauth.Authenticate(t.Context(), f, config))
			require.Equal(t, tc.want, f.sizes)
			require.Equal(t, tc.outcome, config.Early.Outcome)

			carried := 0
			for _, size := range tc.want {
				carried += (size - 1) / 2
			}
			require.Equal(t, carried, called)
			for i, packet := range f.written {
				if packet[0] == 90 {
					require.Equal(t, byte(50), f.written[i-1][0])
					require.Equal(t, [][]byte{channelOpen, exec}, f.written[i:i+2])
				}
			}

			// A transport that is no Batcher gets the same packets.
			p := script(tc.answers...)
			require.NoError(t, userauth.Authenticate(t.Context(), p, config))
			require.Len(t, p.written, len(f.written))
			require.Equal(t, tc.outcome, config.Early.Outcome)
		})
	}
}

func TestOutcomeOfEarlyPacketsAfterAnError(t *testing.T) {
	refused := [][]byte{failure("password", "other@example.com")}
	for name, tc := range map[string]struct {
		answers    [][][]byte
		outcome    userauth.EarlyOutcome
		unanswered int
	}{
		"answer never came":            {nil, userauth.EarlyUncertain, 1},
		"banner only":                  {[][][]byte{{banner("hello")}}, userauth.EarlyUncertain, 1},
		"malformed success":            {[][][]byte{{{52, 0}}}, userauth.EarlyUncertain, 1},
		"malformed failure":            {[][][]byte{{{51, 0}}}, userauth.EarlyUncertain, 1},
		"message of another layer":     {[][][]byte{{{91, 0, 0, 0, 0}}}, userauth.EarlyUncertain, 1},
		"refused":                      {[][][]byte{{failure("publickey")}}, userauth.EarlyNoEffect, 0},
		"refused, then cut off":        {[][][]byte{refused}, userauth.EarlyBrokeOff, 1},
		"refused twice":                {[][][]byte{refused, {failure("password")}}, userauth.EarlyNoEffect, 0},
		"another password demanded":    {[][][]byte{{append([]byte{60}, ssh.Marshal(struct{ P, L string }{"expired", ""})...)}}, userauth.EarlyNoEffect, 0},
		"message that is out of place": {[][][]byte{{{79}}}, userauth.EarlyNoEffect, 0},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			config := &userauth.Config{User: "bob", Early: early(&called), Methods: []userauth.Method{userauth.Password("sesame"), other{}}}
			e := requireError(t, userauth.Authenticate(t.Context(), script(tc.answers...), config))
			require.Equal(t, 1, called)
			require.Equal(t, tc.outcome, config.Early.Outcome)
			require.Equal(t, tc.unanswered, e.Unanswered)
		})
	}
}

func TestEarlyOutcomeIsUncertainWhenTheWriteFails(t *testing.T) {
	p := script()
	p.writeErr = errBroken
	called := 0
	config := &userauth.Config{User: "bob", Early: early(&called), Methods: []userauth.Method{userauth.Password("sesame")}}
	e := requireError(t, userauth.Authenticate(t.Context(), p, config))
	require.ErrorIs(t, e, errBroken)
	require.Equal(t, userauth.EarlyUncertain, config.Early.Outcome)
	require.Equal(t, 1, e.Unanswered)
}

func TestEarlyPacketsThatCannotBeSentHaveNoEffect(t *testing.T) {
	for name, packet := range map[string][]byte{"empty": {}, "authentication": {50}, "below": {79}, "above": {128}} {
		t.Run(name, func(t *testing.T) {
			p := script([][]byte{success})
			config := &userauth.Config{
				User:    "bob",
				Methods: []userauth.Method{userauth.Password("sesame")},
				Early:   &userauth.Early{Packets: func() [][]byte { return [][]byte{channelOpen, packet} }},
			}
			e := requireError(t, userauth.Authenticate(t.Context(), p, config))
			require.ErrorContains(t, e, "80 to 127")
			require.Empty(t, p.written)
			require.Equal(t, userauth.EarlyNoEffect, config.Early.Outcome)
			require.Zero(t, e.Unanswered)
		})
	}
}

func TestEarlyWithoutPacketsChangesNothing(t *testing.T) {
	for name, e := range map[string]*userauth.Early{
		"no func":    {Outcome: userauth.EarlyGranted},
		"no packets": {Outcome: userauth.EarlyGranted, Packets: func() [][]byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			f := &flights{peer: script([][]byte{success})}
			config := &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.Password("sesame")}, Early: e}
			require.NoError(t, userauth.Authenticate(t.Context(), f, config))
			require.Equal(t, []int{1}, f.sizes)
			require.Equal(t, userauth.EarlyNoEffect, e.Outcome)
		})
	}
}

func TestEarlyOutcomeAndTheContext(t *testing.T) {
	called := 0
	ctx, cancel := context.WithCancel(t.Context())
	p := newPeer(func([]byte) [][]byte { cancel(); return [][]byte{success} })
	config := &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.Password("sesame")}, Early: early(&called)}
	require.ErrorIs(t, userauth.Authenticate(ctx, p, config), context.Canceled)
	require.NotEqual(t, userauth.EarlyNoEffect, config.Early.Outcome)

	// The context has ended before the second call.
	require.ErrorIs(t, userauth.Authenticate(ctx, p, config), context.Canceled)
	require.Equal(t, userauth.EarlyNoEffect, config.Early.Outcome)
	require.Equal(t, 1, called)
}

func TestEarlyOutcomeIsResetByABadConfiguration(t *testing.T) {
	e := &userauth.Early{Outcome: userauth.EarlyGranted}
	require.Error(t, userauth.Authenticate(t.Context(), script(), &userauth.Config{Early: e}))
	require.Equal(t, userauth.EarlyNoEffect, e.Outcome)
}

func TestNothingIsEarlyOnceTheConversationIsOver(t *testing.T) {
	called := 0
	config := &userauth.Config{User: "bob", Early: early(&called), Methods: []userauth.Method{
		scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
			for range 64 {
				_, err := x.Request(nil)
				require.NoError(t, err)
			}
			_, err := x.Prove(nil)
			require.ErrorContains(t, err, "64 requests")
			_, again := x.Prove(nil)
			require.Equal(t, err, again)
			return userauth.Reply{}, err
		}),
	}}
	p := newPeer(func([]byte) [][]byte { return [][]byte{failure("scripted@example.com")} })
	requireError(t, userauth.Authenticate(t.Context(), p, config))
	require.Zero(t, called)
	require.Equal(t, userauth.EarlyNoEffect, config.Early.Outcome)
}

func TestEarlyOutcomeNames(t *testing.T) {
	names := fmt.Sprint(userauth.EarlyNoEffect, userauth.EarlyUncertain, userauth.EarlyBrokeOff, userauth.EarlyGranted, userauth.EarlyOutcome(7))
	require.Equal(t, "no effect uncertain broke off granted early outcome 7", names)
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
