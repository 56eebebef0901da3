package sshconn_test

import (
	"io"
	"testing"

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
