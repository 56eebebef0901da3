package userauth_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// channelOpen and exec stand for what a one-shot command sends early.
var channelOpen, exec = []byte{90, 'o'}, []byte{98, 'x'}

// early returns two packets to be sent early, and counts how often they were.
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
		fate    userauth.Fate
	}{
		"password":             {[]userauth.Method{userauth.Password("sesame")}, [][][]byte{won}, []int{3}, userauth.Granted},
		"password of a func":   {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{won}, []int{3}, userauth.Granted},
		"one key":              {[]userauth.Method{userauth.PublicKeys(a)}, [][][]byte{won}, []int{3}, userauth.Granted},
		"key asked about":      {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{ok, won}, []int{1, 3}, userauth.Granted},
		"last of two keys":     {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{lost, won}, []int{1, 3}, userauth.Granted},
		"success to a query":   {[]userauth.Method{userauth.PublicKeys(a, b)}, [][][]byte{won}, []int{1}, userauth.Void},
		"none":                 {[]userauth.Method{userauth.None()}, [][][]byte{won}, []int{1}, userauth.Void},
		"keyboard-interactive": {[]userauth.Method{userauth.KeyboardInteractive(answer)}, [][][]byte{{infoRequest("", "", "Password: ")}, won}, []int{1, 1}, userauth.Void},
		"banner before":        {[]userauth.Method{userauth.Password("sesame")}, [][][]byte{{banner("hello"), success}}, []int{3}, userauth.Granted},
		"method from outside":  {[]userauth.Method{Ticket{func(context.Context, string) (string, error) { return "x", nil }, a}}, [][][]byte{won}, []int{3}, userauth.Granted},
		// After a refusal of what had packets behind it, one request goes alone.
		"second password": {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{lost, won}, []int{3, 1}, userauth.Void},
		"third password":  {[]userauth.Method{userauth.PasswordFunc(secret)}, [][][]byte{lost, lost, won}, []int{3, 1, 3}, userauth.Granted},
		"query between": {[]userauth.Method{userauth.Password("x"), userauth.PublicKeys(a, b)},
			[][][]byte{lost, ok, won}, []int{3, 1, 3}, userauth.Granted},
		"conversation after a password": {[]userauth.Method{userauth.Password("x"), userauth.KeyboardInteractive(answer)},
			[][][]byte{lost, {infoRequest("", "", "Password: ")}, won}, []int{3, 1, 1}, userauth.Void},
		"partial success": {[]userauth.Method{userauth.PublicKeys(a), userauth.Password("sesame")},
			[][][]byte{{partial("password")}, won}, []int{3, 1}, userauth.Void},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			config := &userauth.Config{User: "bob", Methods: tc.methods, Early: early(&called)}
			f := &flights{peer: script(tc.answers...)}
			require.NoError(t, userauth.Authenticate(t.Context(), f, config))
			require.Equal(t, tc.want, f.sizes)
			require.Equal(t, tc.fate, config.Early.Fate)

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

			// A transport that takes one packet at a time gets the same ones.
			p := script(tc.answers...)
			require.NoError(t, userauth.Authenticate(t.Context(), p, config))
			require.Len(t, p.written, len(f.written))
			require.Equal(t, tc.fate, config.Early.Fate)
		})
	}
}

func TestFateOfEarlyPacketsAfterAnError(t *testing.T) {
	refused := [][]byte{failure("password", "other@example.com")}
	for name, tc := range map[string]struct {
		answers    [][][]byte
		fate       userauth.Fate
		unanswered int
	}{
		"answer never came":            {nil, userauth.Doubtful, 1},
		"banner only":                  {[][][]byte{{banner("hello")}}, userauth.Doubtful, 1},
		"malformed success":            {[][][]byte{{{52, 0}}}, userauth.Doubtful, 1},
		"malformed failure":            {[][][]byte{{{51, 0}}}, userauth.Doubtful, 1},
		"message of another layer":     {[][][]byte{{{91, 0, 0, 0, 0}}}, userauth.Doubtful, 1},
		"refused":                      {[][][]byte{{failure("publickey")}}, userauth.Void, 0},
		"refused, then cut off":        {[][][]byte{refused}, userauth.Fatal, 1},
		"refused twice":                {[][][]byte{refused, {failure("password")}}, userauth.Void, 0},
		"another password demanded":    {[][][]byte{{append([]byte{60}, ssh.Marshal(struct{ P, L string }{"expired", ""})...)}}, userauth.Void, 0},
		"message that is out of place": {[][][]byte{{{79}}}, userauth.Void, 0},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			config := &userauth.Config{User: "bob", Early: early(&called), Methods: []userauth.Method{userauth.Password("sesame"), other{}}}
			e := requireError(t, userauth.Authenticate(t.Context(), script(tc.answers...), config))
			require.Equal(t, 1, called)
			require.Equal(t, tc.fate, config.Early.Fate)
			require.Equal(t, tc.unanswered, e.Unanswered)
		})
	}
}

func TestEarlyPacketsAreInDoubtWhenTheWriteFails(t *testing.T) {
	p := script()
	p.writeErr = errBroken
	called := 0
	config := &userauth.Config{User: "bob", Early: early(&called), Methods: []userauth.Method{userauth.Password("sesame")}}
	e := requireError(t, userauth.Authenticate(t.Context(), p, config))
	require.ErrorIs(t, e, errBroken)
	require.Equal(t, userauth.Doubtful, config.Early.Fate)
	require.Equal(t, 1, e.Unanswered)
}

func TestEarlyPacketsThatCannotBeSentAreVoid(t *testing.T) {
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
			require.Equal(t, userauth.Void, config.Early.Fate)
			require.Zero(t, e.Unanswered)
		})
	}
}

func TestEarlyWithoutPacketsChangesNothing(t *testing.T) {
	for name, e := range map[string]*userauth.Early{
		"no func":    {Fate: userauth.Granted},
		"no packets": {Fate: userauth.Granted, Packets: func() [][]byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			f := &flights{peer: script([][]byte{success})}
			config := &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.Password("sesame")}, Early: e}
			require.NoError(t, userauth.Authenticate(t.Context(), f, config))
			require.Equal(t, []int{1}, f.sizes)
			require.Equal(t, userauth.Void, e.Fate)
		})
	}
}

func TestFateAndTheContext(t *testing.T) {
	called := 0
	ctx, cancel := context.WithCancel(t.Context())
	p := newPeer(func([]byte) [][]byte { cancel(); return [][]byte{success} })
	config := &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.Password("sesame")}, Early: early(&called)}
	require.ErrorIs(t, userauth.Authenticate(ctx, p, config), context.Canceled)
	require.NotEqual(t, userauth.Void, config.Early.Fate)

	// Once more with a context that had ended before.
	require.ErrorIs(t, userauth.Authenticate(ctx, p, config), context.Canceled)
	require.Equal(t, userauth.Void, config.Early.Fate)
	require.Equal(t, 1, called)
}

func TestFateIsResetByABadConfiguration(t *testing.T) {
	e := &userauth.Early{Fate: userauth.Granted}
	require.Error(t, userauth.Authenticate(t.Context(), script(), &userauth.Config{Early: e}))
	require.Equal(t, userauth.Void, e.Fate)
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
	require.Equal(t, userauth.Void, config.Early.Fate)
}

func TestFateNames(t *testing.T) {
	names := fmt.Sprint(userauth.Void, userauth.Doubtful, userauth.Granted, userauth.Fate(7))
	require.Equal(t, "void doubtful granted fate 7", names)
}
