package sshconn_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// The peer's requests of a connection are refused whether anybody receives
// them or not, and those that nobody receives are bounded.
func TestSlowReaderOfGlobalRequests(t *testing.T) {
	b := newBridge(t)
	for range 200 {
		_, err := b.peer.Request(t.Context(), "keepalive@example.com", []byte("payload"))
		require.ErrorAs(t, err, new(*connection.RequestError))
	}
	require.NoError(t, b.Close())
	var received []*ssh.Request
	for r := range b.requests {
		received = append(received, r)
	}
	require.Len(t, received, 16)
	require.Equal(t, &ssh.Request{Type: "keepalive@example.com", Payload: []byte("payload")}, received[0])
	require.NoError(t, received[0].Reply(true, nil), "a reply is not possible, and no harm either")
}

// However many requests nobody has received, the connection goes on, and how
// the command ended is not lost.
func TestSlowReaderOfChannelRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		ch, requests, peer := b.open(t)
		for range 200 {
			err := peer.Request(t.Context(), "keepalive@example.com", nil)
			require.ErrorAs(t, err, new(*connection.RequestError))
		}
		for range 10 {
			_, err := peer.SendRequest(t.Context(), "exit-status", false, []byte{0, 0, 0, 7})
			require.NoError(t, err)
		}
		ok, err := ch.SendRequest("alive@example.com", true, nil)
		require.NoError(t, err)
		require.True(t, ok)
		require.NoError(t, peer.Close())
		synctest.Wait()

		var received []string
		for r := range requests {
			received = append(received, r.Type)
		}
		require.Len(t, received, 18)
		require.Equal(t, []string{"keepalive@example.com", "exit-status", "exit-status"}, received[15:])
		require.NoError(t, b.Close())
	})
}

// ssh.Session waits for the end of the requests, and takes what has not come
// by then for missing.
func TestExitStatusComesBeforeTheEndOfRequests(t *testing.T) {
	b := newBridge(t)
	accepted := b.accept("session")
	for range 200 {
		_, requests, err := b.OpenChannel("session", nil)
		require.NoError(t, err)
		peer := <-accepted
		_, err = peer.SendRequest(t.Context(), "exit-status", false, []byte{0, 0, 0, 7})
		require.NoError(t, err)
		require.NoError(t, peer.Close())
		r, ok := <-requests
		require.True(t, ok)
		require.Equal(t, "exit-status", r.Type)
		_, more := <-requests
		require.False(t, more)
	}
}
