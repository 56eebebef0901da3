package userauth_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

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

func TestFirstRequestLeavesBeforeAnythingIsRead(t *testing.T) {
	for name, c := range methodCases(t) {
		t.Run(name, func(t *testing.T) {
			p := c.says(success)
			require.NoError(t, authenticate(t, p, c.method))
			require.Equal(t, []string{"service ssh-userauth", "write", "read"}, p.events[:3])
		})
	}
}

func TestEndOfTheStreamIsNotAGoodEnd(t *testing.T) {
	p := verdicts()
	p.end = io.EOF
	e := requireError(t, authenticate(t, p, userauth.None()))
	require.ErrorIs(t, e, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, e, io.EOF)
}

// twoAtOnce is a method whose last two messages share an answer, like the last
// token and the MIC of gssapi-with-mic, RFC 4462 section 3.5.
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
