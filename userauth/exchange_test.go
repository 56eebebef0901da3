package userauth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestProbesShrinkWithRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		probes int
		want   []int
	}{
		"off":    {0, []int{1, 1, 1, 1, 1, 1, 1, 1}},
		"minus":  {-1, []int{1, 1, 1, 1, 1, 1, 1, 1}},
		"three":  {3, []int{3, 3, 3, 2, 1, 1, 1, 1}},
		"plenty": {1 << 40, []int{5, 4, 3, 2, 1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []int
			p := newPeer(func([]byte) [][]byte { return [][]byte{failure("scripted@example.com")} })
			requireError(t, converse(t, p, userauth.Config{Probes: tc.probes, LastKey: "name"}, func(x *userauth.Exchange) (reply userauth.Reply, err error) {
				require.Equal(t, "name", x.LastKey())
				for range tc.want {
					seen = append(seen, x.Probes())
					reply, err = x.Request(nil)
					require.NoError(t, err)
				}
				return reply, nil
			}))
			require.Equal(t, tc.want, seen)
		})
	}
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
