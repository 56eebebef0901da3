package sshconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
)

func TestSessionRunsCommands(t *testing.T) {
	eachServer(t, func(t *testing.T, s *sshtest.Server) {
		c := client(t, s)
		session := func() *ssh.Session {
			session, err := c.NewSession()
			require.NoError(t, err)
			return session
		}
		out, err := session().Output("echo hello")
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))

		x := session()
		var stderr bytes.Buffer
		x.Stderr = &stderr
		require.NoError(t, x.Run("echo sorry >&2"))
		require.Equal(t, "sorry\n", stderr.String())

		input := strings.Repeat("0123456789abcdef", 1<<18)
		x = session()
		x.Stdin = strings.NewReader(input)
		out, err = x.Output("cat")
		require.NoError(t, err)
		require.True(t, input == string(out), "%d bytes came back as %d", len(input), len(out))

		var exit *ssh.ExitError
		require.ErrorAs(t, session().Run("exit 42"), &exit)
		require.Equal(t, 42, exit.ExitStatus())

		exit = nil
		require.ErrorAs(t, session().Run("kill -TERM $$"), &exit)
		require.Equal(t, "TERM", exit.Signal())

		x = session()
		require.NoError(t, x.RequestPty("xterm", 24, 80, ssh.TerminalModes{}))
		out, err = x.Output("stty size")
		require.NoError(t, err)
		require.Equal(t, "24 80", strings.TrimSpace(string(out)))
	})
}

// A command that ends before its standard input is closed has not failed: x/crypto recognizes
// the case by an error of io.EOF.
func TestSessionOfCommandThatEndsAtOnce(t *testing.T) {
	c := client(t, sshtest.NewServer(t, nil))
	for range 50 {
		session, err := c.NewSession()
		require.NoError(t, err)
		require.NoError(t, session.Run("true"))
	}
}

func TestTunnelsBothWays(t *testing.T) {
	eachServer(t, func(t *testing.T, s *sshtest.Server) {
		c := client(t, s)
		l, err := c.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello %s", r.URL.Path)
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		// The request goes out by one tunnel and comes back by the other.
		transport := &http.Transport{DialContext: c.DialContext}
		for i := range 3 {
			request, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s/%d", l.Addr(), i), nil)
			require.NoError(t, err)
			response, err := transport.RoundTrip(request)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, fmt.Sprintf("hello /%d", i), string(body))
			transport.CloseIdleConnections()
		}
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

func TestRefusedChannel(t *testing.T) {
	eachServer(t, func(t *testing.T, s *sshtest.Server) {
		c := client(t, s)
		_, _, err := c.OpenChannel("nonsense@example.com", nil)
		var refused *ssh.OpenChannelError
		require.ErrorAs(t, err, &refused)

		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = c.Dial("tcp", l.Addr().String())
		refused = nil
		require.ErrorAs(t, err, &refused)
		require.Equal(t, ssh.ConnectionFailed, refused.Reason)
	})
}

func TestGlobalRequests(t *testing.T) {
	b := newBridge(t)
	b.peer.HandleRequest("echo@example.com", grantAll)

	ok, reply, err := b.SendRequest("echo@example.com", true, []byte("hello"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "hello", string(reply))

	ok, reply, err = b.SendRequest("echo@example.com", false, []byte("hello"))
	require.NoError(t, err)
	require.False(t, ok)
	require.Empty(t, reply)

	ok, _, err = b.SendRequest("nonsense@example.com", true, nil)
	require.NoError(t, err, "a refusal is no error")
	require.False(t, ok)
}

func TestCloseByThisSide(t *testing.T) {
	b := newBridge(t)
	ch, requests, _ := b.open(t)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Wait(), net.ErrClosed)
	requireEnded(t, b, ch, requests)
}

func TestLostConnection(t *testing.T) {
	b := newBridge(t)
	ch, requests, _ := b.open(t)
	b.cut()
	err := b.Wait()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	requireEnded(t, b, ch, requests)

	for _, stream := range []io.Reader{ch, ch.Stderr()} {
		_, err = stream.Read(make([]byte, 1))
		require.NotErrorIs(t, err, io.EOF, "output that was cut short must not look whole")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func requireEnded(t *testing.T, b *bridge, ch ssh.Channel, requests <-chan *ssh.Request) {
	t.Helper()
	_, more := <-b.channels
	require.False(t, more)
	_, more = <-b.requests
	require.False(t, more)
	_, more = <-requests
	require.False(t, more)
	for _, wantReply := range []bool{false, true} {
		_, _, err := b.SendRequest("keepalive@example.com", wantReply, nil)
		require.Equal(t, io.EOF, err)
		_, err = ch.SendRequest("keepalive@example.com", wantReply, nil)
		require.Equal(t, io.EOF, err)
	}
	_, err := ch.Write([]byte("x"))
	require.Equal(t, io.EOF, err)
	require.Equal(t, io.EOF, ch.CloseWrite())
	_, _, err = b.OpenChannel("session", nil)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseUnblocksRequests(t *testing.T) {
	b := newBridge(t)
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	defer close(release)
	stall := func(context.Context, *connection.Request) ([]byte, bool) {
		arrived <- struct{}{}
		<-release
		return nil, true
	}
	b.peer.HandleRequest("stall@example.com", stall)
	b.peer.HandleOpen("session", func(_ context.Context, o *connection.Open) { o.Accept(stall) })
	ch, _, err := b.OpenChannel("session", nil)
	require.NoError(t, err)

	results := make(chan error, 2)
	go func() {
		_, _, err := b.SendRequest("stall@example.com", true, nil)
		results <- err
	}()
	go func() {
		_, err := ch.SendRequest("stall@example.com", true, nil)
		results <- err
	}()
	<-arrived
	<-arrived
	require.NoError(t, b.Close())
	require.Equal(t, io.EOF, <-results)
	require.Equal(t, io.EOF, <-results)
}

// Requests that arrived before the end of the connection are still handled.
func TestGlobalRequestAfterTheEnd(t *testing.T) {
	b := newBridge(t)
	arrived, release, handled := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.native.HandleRequest("stall@example.com", func(context.Context, *connection.Request) ([]byte, bool) {
		close(arrived)
		<-release
		return nil, true
	})
	b.native.HandleRequest("last@example.com", func(context.Context, *connection.Request) ([]byte, bool) {
		close(handled)
		return nil, true
	})
	for _, name := range []string{"stall@example.com", "keepalive@example.com", "last@example.com"} {
		_, err := b.peer.SendRequest(t.Context(), name, false, nil)
		require.NoError(t, err)
	}
	b.open(t) // the answer comes behind the requests
	<-arrived
	require.NoError(t, b.Close())
	_, more := <-b.requests
	require.False(t, more)
	close(release)
	<-handled
}

// The rest of the connection works while nobody receives the peer's channels, and the number of
// those is bounded.
func TestSlowReaderOfChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		results := make(chan error, 300)
		for range cap(results) {
			go func() {
				_, err := b.peer.OpenChannel(t.Context(), "held@example.com", nil, nil)
				results <- err
			}()
		}
		synctest.Wait()
		require.Len(t, results, cap(results)-256)
		for len(results) > 0 {
			refused, ok := errors.AsType[*connection.OpenError](<-results)
			require.True(t, ok)
			require.Equal(t, connection.ResourceShortage, refused.Reason)
		}
		b.accept("session")
		_, _, err := b.OpenChannel("session", nil)
		require.NoError(t, err)

		n := <-b.channels
		_, _, err = n.Accept()
		require.NoError(t, err)
		require.NoError(t, <-results)
		require.NoError(t, b.Close())
		for range 255 {
			require.ErrorIs(t, <-results, net.ErrClosed)
		}
	})
}

func TestChannelsOfThePeer(t *testing.T) {
	b := newBridge(t)
	b.native.HandleOpen("native@example.com", func(_ context.Context, o *connection.Open) {
		o.Reject(connection.Prohibited, "native")
	})
	open := func(typ string) <-chan error {
		result := make(chan error, 1)
		go func() {
			_, err := b.peer.OpenChannel(t.Context(), typ, []byte("extra"), nil)
			result <- err
		}()
		return result
	}

	result := open("native@example.com")
	require.ErrorContains(t, <-result, "native", "whoever handles a type by name gets it")

	result = open("refused@example.com")
	n := <-b.channels
	require.Equal(t, "refused@example.com", n.ChannelType())
	require.Equal(t, "extra", string(n.ExtraData()))
	require.NoError(t, n.Reject(ssh.RejectionReason(42), "no"))
	require.Error(t, n.Reject(ssh.Prohibited, "again"))
	_, _, err := n.Accept()
	require.Error(t, err)
	refused, ok := errors.AsType[*connection.OpenError](<-result)
	require.True(t, ok)
	require.Equal(t, &connection.OpenError{Reason: 42, Message: "no"}, refused)

	result = open("accepted@example.com")
	n = <-b.channels
	ch, requests, err := n.Accept()
	require.NoError(t, err)
	require.NoError(t, <-result)
	require.NoError(t, ch.Close())
	_, more := <-requests
	require.False(t, more)

	result = open("undecided@example.com")
	n = <-b.channels
	require.NoError(t, b.Close())
	require.Error(t, <-result)
	_, _, err = n.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
