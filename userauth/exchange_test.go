package userauth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

// converse runs f as the only method against p.
func converse(t *testing.T, p userauth.Transport, config userauth.Config, f func(x *userauth.Exchange) (userauth.Reply, error)) error {
	config.User = "bob"
	config.Methods = []userauth.Method{scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) { return f(x) })}
	return userauth.Authenticate(t.Context(), p, &config)
}

func TestRequestsOfAFlight(t *testing.T) {
	no := failure("scripted@example.com")
	f := &flights{peer: script([][]byte{no}, [][]byte{{65, 1}}, [][]byte{banner("hello"), no}, [][]byte{success})}
	require.NoError(t, converse(t, f, userauth.Config{}, func(x *userauth.Exchange) (userauth.Reply, error) {
		replies, err := x.Requests()
		require.NoError(t, err)
		require.Empty(t, replies)

		replies, err = x.Requests([]byte("a"), []byte("b"), []byte("c"))
		require.NoError(t, err)
		require.Len(t, replies, 3)
		require.Equal(t, userauth.Failure, replies[0].Status)
		require.Equal(t, []byte{65, 1}, replies[1].Packet)
		require.Equal(t, userauth.Failure, replies[2].Status)

		replies, err = x.Requests([]byte("d"), []byte("e"))
		require.NoError(t, err)
		require.Len(t, replies, 1)
		require.Equal(t, userauth.Success, replies[0].Status)
		_, err = x.Requests([]byte("f"))
		require.ErrorContains(t, err, "already granted")
		return replies[0], nil
	}))
	require.Equal(t, []int{3, 2}, f.sizes)
	var payloads string
	for _, r := range f.requests(t) {
		payloads += string(r.Payload)
	}
	require.Equal(t, "abcde", payloads)
}

func TestRequestsThatArePartlyAnswered(t *testing.T) {
	p := script([][]byte{failure("scripted@example.com")}, [][]byte{{94}}, [][]byte{success})
	e := requireError(t, converse(t, p, userauth.Config{}, func(x *userauth.Exchange) (userauth.Reply, error) {
		replies, err := x.Requests(nil, nil, nil)
		require.ErrorContains(t, err, "message 94")
		require.Len(t, replies, 1)
		return replies[0], nil
	}))
	require.Equal(t, 2, e.Unanswered)
	require.Equal(t, []string{"scripted@example.com: unfinished"}, results(e))
}

func TestRequestsCountOneByOne(t *testing.T) {
	p := newPeer(func([]byte) [][]byte { return [][]byte{failure("scripted@example.com")} })
	e := requireError(t, converse(t, p, userauth.Config{}, func(x *userauth.Exchange) (userauth.Reply, error) {
		_, err := x.Requests(make([][]byte, 60)...)
		require.NoError(t, err)
		_, err = x.Requests(make([][]byte, 5)...)
		require.ErrorContains(t, err, "64 requests")
		return userauth.Reply{}, err
	}))
	require.Len(t, p.written, 60)
	require.Zero(t, e.Unanswered)
}

func TestPartialSuccessIsNotTakenBackWithinAFlight(t *testing.T) {
	none := failure("other@example.com", "scripted@example.com")
	p := script([][]byte{none}, [][]byte{partial("other@example.com", "scripted@example.com")}, [][]byte{none}, [][]byte{success})
	turns := 0
	method := scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
		turns++
		replies, err := x.Requests(nil, nil)
		require.NoError(t, err)
		return replies[1], nil
	})
	require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User: "bob", Methods: []userauth.Method{other{}, method, token("not reached")},
	}))
	require.Equal(t, 1, turns)
	require.Equal(t, []string{"other@example.com", "scripted@example.com", "scripted@example.com", "other@example.com"}, p.methods(t))
}

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

// patient is a peer whose acceptance of a service can be waited for.
type patient struct {
	*peer
	err error
}

func (p patient) AwaitService() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, "accepted")
	return p.err
}

func TestServiceIsWaitedForOnRequest(t *testing.T) {
	config := &userauth.Config{User: "bob", AwaitService: true, Methods: []userauth.Method{userauth.Password("sesame")}}
	p := script([][]byte{success})
	require.NoError(t, userauth.Authenticate(t.Context(), patient{p, nil}, config))
	require.Equal(t, []string{"service ssh-userauth", "accepted", "write"}, p.events[:3])

	p = script([][]byte{success})
	require.NoError(t, userauth.Authenticate(t.Context(), p, config), "a transport without the method is not waited for")

	p = script([][]byte{success})
	config.AwaitService = false
	require.NoError(t, userauth.Authenticate(t.Context(), patient{p, nil}, config))
	require.Equal(t, []string{"service ssh-userauth", "write"}, p.events[:2])

	p = script()
	config.AwaitService = true
	e := requireError(t, userauth.Authenticate(t.Context(), patient{p, errBroken}, config))
	require.ErrorIs(t, e, errBroken)
	require.Empty(t, p.written)
}
