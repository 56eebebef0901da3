package userauth_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/userauth"
)

// P11, A1, A3 and A4: messages that are malformed or out of place.
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
		"global request":              ssh.Marshal(wire.GlobalRequestMsg{Name: "x"}),
		"channel open":                {90},
		"channel data":                {94},
		"service accept":              {6},
		"method's own, not expected":  {61},
		"reserved 255":                {255},
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

// A3: messages of other layers before the success.
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

// A4 and A8: answers and banners without end.
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
		require.Equal(t, "other@example.com: skipped: the server does not allow the method", e.Tried[1].String())
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
