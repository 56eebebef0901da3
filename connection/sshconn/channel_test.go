package sshconn_test

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

func TestStreams(t *testing.T) {
	b := newBridge(t)
	ch, _, peer := b.open(t)
	go func() {
		io.WriteString(ch, "in")
		io.WriteString(ch.Stderr(), "err")
		ch.CloseWrite()
	}()
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "in", string(got))
	got, err = io.ReadAll(peer.Stderr())
	require.NoError(t, err)
	require.Equal(t, "err", string(got))

	_, err = ch.Write([]byte("x"))
	require.Equal(t, io.EOF, err, "after CloseWrite")
	ok, err := ch.SendRequest("still@example.com", true, nil)
	require.NoError(t, err)
	require.True(t, ok)

	_, err = io.WriteString(peer.Stderr(), "sorry")
	require.NoError(t, err)
	_, err = io.WriteString(peer, "out")
	require.NoError(t, err)
	require.NoError(t, peer.CloseWrite())
	got, err = io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, "out", string(got))
	got, err = io.ReadAll(ch.Stderr())
	require.NoError(t, err)
	require.Equal(t, "sorry", string(got))
}

func TestChannelRequests(t *testing.T) {
	b := newBridge(t)
	ch, requests, peer := b.open(t)
	ok, err := ch.SendRequest("granted@example.com", true, nil)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = ch.SendRequest("granted@example.com", false, nil)
	require.NoError(t, err)
	require.False(t, ok)

	err = peer.Request(t.Context(), "question@example.com", []byte("payload"))
	require.ErrorAs(t, err, new(*connection.RequestError))
	r := <-requests
	require.Equal(t, &ssh.Request{Type: "question@example.com", Payload: []byte("payload")}, r)
	require.NoError(t, r.Reply(true, nil), "a reply is not possible, and no harm either")
}

func TestRefusedChannelRequestIsNoError(t *testing.T) {
	b := newBridge(t)
	go func() {
		n := <-b.channels
		n.Accept()
	}()
	peer, err := b.peer.OpenChannel(t.Context(), "x@example.com", nil, nil)
	require.NoError(t, err)
	err = peer.Request(t.Context(), "x@example.com", nil)
	require.ErrorAs(t, err, new(*connection.RequestError))
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

func TestCloseOfChannelByThisSide(t *testing.T) {
	b := newBridge(t)
	ch, requests, peer := b.open(t)
	read := make(chan error, 2)
	for _, stream := range []io.Reader{ch, ch.Stderr()} {
		go func() {
			_, err := stream.Read(make([]byte, 1))
			read <- err
		}()
	}
	require.NoError(t, ch.Close())
	require.Equal(t, io.EOF, <-read)
	require.Equal(t, io.EOF, <-read)
	require.NoError(t, ch.Close())
	_, err := ch.Write([]byte("x"))
	require.Equal(t, io.EOF, err)
	_, err = ch.Stderr().Write([]byte("x"))
	require.Equal(t, io.EOF, err)
	require.Equal(t, io.EOF, ch.CloseWrite())
	_, err = ch.SendRequest("late@example.com", true, nil)
	require.Equal(t, io.EOF, err)
	_, more := <-requests
	require.False(t, more)
	require.NoError(t, peer.Wait())
}

func TestOutputIsReadableAfterThePeerHasClosed(t *testing.T) {
	b := newBridge(t)
	ch, requests, peer := b.open(t)
	_, err := io.WriteString(peer, "last words")
	require.NoError(t, err)
	require.NoError(t, peer.Close())
	_, more := <-requests
	require.False(t, more)

	require.Equal(t, io.EOF, ch.CloseWrite(), "ssh.Session compares with ==")
	_, err = ch.SendRequest("late@example.com", true, nil)
	require.Equal(t, io.EOF, err)
	require.NoError(t, ch.Close())
	got, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, "last words", string(got))
}
