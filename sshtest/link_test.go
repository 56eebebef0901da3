package sshtest_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// linked returns the two ends of a connection through a link: the client's,
// and the server's, in a bubble.
func linked(t *testing.T, link sshtest.Link) (*sshtest.LinkConn, net.Conn) {
	t.Helper()
	far, server := sshtest.Pipe()
	client := link.Conn(far)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// receive reads n bytes.
func receive(t *testing.T, c net.Conn, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	return got
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	n, err := c.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func TestLinkDelaysBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		start := time.Now()
		send(t, client, "question")
		require.Zero(t, time.Since(start), "a write does not wait for its delivery")
		require.Equal(t, "question", string(receive(t, server, 8)))
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		send(t, server, "answer")
		require.Equal(t, "answer", string(receive(t, client, 6)))
		require.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestLinkServerSpeaksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		start := time.Now()
		send(t, server, "SSH-2.0-x\r\n")
		receive(t, client, 11)
		require.Equal(t, 100*time.Millisecond, time.Since(start), "it knows of the client after half an RTT only")
		require.Equal(t, 1, client.RoundTrips())
	})
}

func TestLinkCountsFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		require.Zero(t, client.RoundTrips())

		send(t, server, "version")
		send(t, client, "version")
		send(t, client, "more in the same flight")
		receive(t, server, 30)
		send(t, server, "answer to the first flight")
		receive(t, client, 7)
		receive(t, client, 26)
		require.Equal(t, 1, client.RoundTrips())

		send(t, client, "second")
		receive(t, server, 6)
		require.Equal(t, 1, client.RoundTrips(), "the answer is not there yet")
		send(t, server, "part")
		receive(t, client, 4)
		time.Sleep(time.Hour)
		send(t, server, "of the same answer")
		receive(t, client, 18)
		require.Equal(t, 2, client.RoundTrips(), "time is no round trip")

		send(t, client, "third")
		receive(t, server, 5)
		server.Close()
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, 2, client.RoundTrips(), "hanging up is no answer")
	})
}

func TestLinkRate(t *testing.T) {
	for _, rate := range []int64{10_000, 1_000_000, 125_000_000} {
		synctest.Test(t, func(t *testing.T) {
			client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond, Rate: rate})
			size := int(rate)
			up := make(chan time.Duration)
			start := time.Now()
			for _, c := range []net.Conn{client, server} {
				go io.CopyN(c, zeros{}, int64(size))
			}
			go func() {
				io.CopyN(io.Discard, server, int64(size))
				up <- time.Since(start)
			}()
			_, err := io.CopyN(io.Discard, client, int64(size))
			require.NoError(t, err)
			require.InDelta(t, 1.1, time.Since(start).Seconds(), 0.01, "down")
			require.InDelta(t, 1.05, (<-up).Seconds(), 0.01, "up, at the same time")
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestLinkKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 10 * time.Millisecond, Rate: 50_000_000})
		sent := make([]byte, 3<<20)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		go func() {
			size := 1
			for rest := sent; len(rest) > 0; {
				n, _ := client.Write(rest[:min(len(rest), size)])
				rest = rest[n:]
				size = size*5%99_991 + 1
			}
			client.CloseWrite()
		}()
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
	})
}

func TestLinkHoldsWritersBack(t *testing.T) {
	const rate = 1_000_000
	for _, link := range []sshtest.Link{{RTT: time.Second, Rate: rate}, {RTT: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			client, server := linked(t, link)
			for _, c := range []net.Conn{client, server} {
				require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
				n, err := c.Write(make([]byte, 100<<20))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Less(t, n, 34<<20)
				if link.Rate > 0 {
					require.Less(t, n, rate+6<<20)
				}
			}
		})
	}
}

func TestLinkClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond, Rate: 1_000_000})
		start := time.Now()
		n, err := client.Write(make([]byte, 1<<20))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		require.Zero(t, time.Since(start))
		_, err = client.Write(nil)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, client.Close(), net.ErrClosed)

		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Len(t, got, n, "what was written before arrives")
		require.InDelta(t, 1.1, time.Since(start).Seconds(), 0.01)
		_, err = server.Write([]byte("x"))
		require.Error(t, err, "nobody is there to read")
	})
}

func TestLinkCloseWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		start := time.Now()
		send(t, client, "all")
		require.NoError(t, client.CloseWrite())
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "all", string(got))
		require.Equal(t, 50*time.Millisecond, time.Since(start))

		send(t, server, "still heard")
		closeWrite(t, server)
		got, err = io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "still heard", string(got))
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		require.Equal(t, 1, client.RoundTrips())
	})
}

func TestLinkServerHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		send(t, server, "bye")
		require.NoError(t, server.Close())
		send(t, client, "this crosses it")
		got, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))

		_, err = client.Write([]byte("too late"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

// A far end without CloseWrite, like net.Pipe's, is closed instead.
func TestLinkWithoutCloseWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, server := net.Pipe()
		client := (&sshtest.Link{RTT: time.Second}).Conn(far)
		defer client.Close()
		require.NoError(t, client.CloseWrite())
		_, err := server.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestLinkDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := linked(t, sshtest.Link{RTT: 100 * time.Millisecond})
		send(t, client, "ping")
		require.NoError(t, client.SetReadDeadline(time.Now().Add(99*time.Millisecond)))
		receive(t, server, 4)
		send(t, server, "pong")
		_, err := client.Read(make([]byte, 4))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the answer is a millisecond away")
		require.NoError(t, client.SetDeadline(time.Time{}))
		require.Equal(t, "pong", string(receive(t, client, 4)))
	})
}

func TestLinkAddresses(t *testing.T) {
	far, server := sshtest.Pipe()
	client := new(sshtest.Link).Conn(far)
	require.Equal(t, far.LocalAddr(), client.LocalAddr())
	require.Equal(t, far.RemoteAddr(), client.RemoteAddr())
	client.Close()
	server.Close()
}

// The round trips of a client whose flights are known: version, key exchange
// (its KEXINIT waits for the server's version, although no answer), service,
// none, public key, open, exec.
func TestLinkUnderSSH(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
		require.NoError(t, err)
		start := time.Now()
		c := (&sshtest.Link{RTT: 100 * time.Millisecond}).Conn(nc)
		conn, channels, requests, err := ssh.NewClientConn(c, s.Addr, &ssh.ClientConfig{
			User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.Signer)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey),
		})
		require.NoError(t, err)
		client := ssh.NewClient(conn, channels, requests)
		defer client.Close()
		session, err := client.NewSession()
		require.NoError(t, err)
		require.NoError(t, session.Run("true"))
		require.Equal(t, time.Duration(c.RoundTrips())*100*time.Millisecond, time.Since(start),
			"a client and a server that take no time")
	})
}

func TestLinkProxy(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	link := &sshtest.Link{RTT: 20 * time.Millisecond}
	proxy, err := link.Proxy(s.Addr)
	require.NoError(t, err)
	defer proxy.Close()
	require.Empty(t, proxy.RoundTrips())

	client, err := ssh.Dial("tcp", proxy.Addr, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.Signer)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	require.NoError(t, err)
	defer client.Close()
	require.Len(t, proxy.RoundTrips(), 1)
	trips := proxy.RoundTrips()[0]
	require.GreaterOrEqual(t, trips, 4)

	session, err := client.NewSession()
	require.NoError(t, err)
	require.NoError(t, session.Run("true"))
	require.Greater(t, proxy.RoundTrips()[0], trips)

	require.NoError(t, proxy.Close())
	require.Error(t, client.Wait(), "its connections end with it")
	_, err = net.Dial("tcp", proxy.Addr)
	require.Error(t, err)
}

func TestLinkProxyWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	proxy, err := new(sshtest.Link).Proxy(l.Addr().String())
	require.NoError(t, err)
	defer proxy.Close()
	c, err := net.Dial("tcp", proxy.Addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	require.Empty(t, proxy.RoundTrips())
}
