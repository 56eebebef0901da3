package sshtest_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// echoServer sends back the bytes of each connection, and then closes the
// connection.
func echoServer(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go echo(l)
	return l
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// roundTrip sends through a forwarded connection to an echo, and half-closes.
func roundTrip(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("there and back"))
	require.NoError(t, err)
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "there and back", string(got))
	c.Close() // x/crypto's says io.EOF when the peer was first
}

func TestDirectTCPIP(t *testing.T) {
	l := echoServer(t, "tcp", "127.0.0.1:0")
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		client := login(t, s, nil)
		c, err := client.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		roundTrip(t, c)
		_, err = client.Dial("tcp", "127.0.0.1:1")
		var open *ssh.OpenChannelError
		require.ErrorAs(t, err, &open)
		require.Equal(t, ssh.ConnectionFailed, open.Reason)
	})
}

func TestDirectTCPIPStaysOnTheMachine(t *testing.T) {
	client := login(t, sshtest.NewServer(t, nil), nil)
	for _, addr := range []string{"192.0.2.1:22", "example.com:22", "0.0.0.0:22"} {
		_, err := client.Dial("tcp", addr)
		var open *ssh.OpenChannelError
		require.ErrorAs(t, err, &open)
		require.Equal(t, ssh.Prohibited, open.Reason)
	}
}

func TestDirectTCPIPEndsWithItsPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client := login(t, sshtest.NewServer(t, nil), nil)
	c, err := client.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = far.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, far.Close())
}

func TestTCPIPForward(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		client := login(t, s, nil)
		l, err := client.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := l.Addr().String()
		go echo(l)
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		roundTrip(t, c)

		if strings.Contains(string(client.ServerVersion()), "dropbear") {
			return // Dropbear cannot cancel a forwarding of a port of its own choice.
		}
		require.NoError(t, l.Close())
		_, err = net.Dial("tcp", addr)
		require.Error(t, err)
	})
}

func TestTCPIPForwardEndsWithItsConnection(t *testing.T) {
	client := login(t, sshtest.NewServer(t, nil), nil)
	l, err := client.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, client.Close())
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestStreamlocal(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	echoServer(t, "unix", there)
	for name, start := range servers {
		if name == "Dropbear" {
			continue // Dropbear forwards TCP only.
		}
		t.Run(name, func(t *testing.T) {
			client := login(t, start(t), nil)
			c, err := client.Dial("unix", there)
			require.NoError(t, err)
			roundTrip(t, c)

			here := filepath.Join(t.TempDir(), "here")
			l, err := client.ListenUnix(here)
			require.NoError(t, err)
			go echo(l)
			c, err = net.Dial("unix", here)
			require.NoError(t, err)
			roundTrip(t, c)
			require.NoError(t, l.Close())
		})
	}
}
