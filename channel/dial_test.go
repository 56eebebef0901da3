package channel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

func TestDial(t *testing.T) {
	origin := str("127.0.0.1") + "\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		network, addr string
		typ, extra    string
		remote        net.Addr // nil: of a type of our own
	}{
		"IPv4": {
			"tcp", "192.0.2.1:80", "direct-tcpip", str("192.0.2.1") + "\x00\x00\x00\x50" + origin,
			&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 80},
		},
		"IPv6": {
			"tcp", "[2001:db8::1]:65535", "direct-tcpip", str("2001:db8::1") + "\x00\x00\xff\xff" + origin,
			&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535},
		},
		"name":      {"tcp", "db.internal:5432", "direct-tcpip", str("db.internal") + "\x00\x00\x15\x38" + origin, nil},
		"tcp4":      {"tcp4", "h:1", "direct-tcpip", str("h") + "\x00\x00\x00\x01" + origin, nil},
		"tcp6":      {"tcp6", "h:1", "direct-tcpip", str("h") + "\x00\x00\x00\x01" + origin, nil},
		"zone":      {"tcp", "[fe80::1%eth0]:1", "direct-tcpip", str("fe80::1%eth0") + "\x00\x00\x00\x01" + origin, nil},
		"text":      {"tcp", "a b;\n:1", "direct-tcpip", str("a b;\n") + "\x00\x00\x00\x01" + origin, nil},
		"unix path": {"unix", "/run/x.sock", "direct-streamlocal@openssh.com", str("/run/x.sock") + str("") + "\x00\x00\x00\x00", &net.UnixAddr{Name: "/run/x.sock", Net: "unix"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				dialled := async(func() (net.Conn, error) { return channel.Dial(t.Context(), c, test.network, test.addr) })
				m := expect[openMsg](p)
				require.Equal(t, test.typ, m.Type)
				require.Equal(t, test.extra, string(m.Payload))
				p.send(confirmMsg{m.Sender, theirID, 1 << 20, 32 << 10, nil})
				got := <-dialled
				require.NoError(t, got.err)
				require.Equal(t, test.addr, got.value.RemoteAddr().String())
				require.Equal(t, map[bool]string{true: "unix", false: "tcp"}[test.network == "unix"], got.value.RemoteAddr().Network())
				if test.remote != nil {
					require.Equal(t, test.remote, got.value.RemoteAddr())
				}
				require.Equal(t, got.value.RemoteAddr().Network(), got.value.LocalAddr().Network())
			})
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	var unknown net.UnknownNetworkError
	for name, test := range map[string]struct {
		network, addr string
		as            any
		listen        bool // an error of Listen too
	}{
		"unknown network": {"udp", "h:1", &unknown, true},
		"empty network":   {"", "h:1", &unknown, true},
		"unixgram":        {"unixgram", "/x", &unknown, true},
		"no port":         {"tcp", "h", new(*net.AddrError), true},
		"bare IPv6":       {"tcp", "::1", new(*net.AddrError), true},
		"port 0":          {"tcp", "h:0", nil, false},
		"port 65536":      {"tcp", "h:65536", nil, true},
		"negative port":   {"tcp", "h:-1", nil, true},
		"signed port":     {"tcp", "h:+1", nil, true},
		"empty port":      {"tcp", "h:", nil, true},
		"service":         {"tcp", "h:http", nil, true},
		"hexadecimal":     {"tcp", "h:0x50", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				_, err := channel.Dial(t.Context(), c, test.network, test.addr)
				require.ErrorContains(t, err, "channel: dial ")
				if test.as != nil {
					require.ErrorAs(t, err, test.as)
				}
				if test.listen {
					_, err = channel.Listen(t.Context(), c, test.network, test.addr)
					require.ErrorContains(t, err, "channel: listen on ")
				}
				p.quiet()
			})
		})
	}
}

func TestRefusedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		dialled := async(func() (net.Conn, error) { return channel.Dial(t.Context(), c, "tcp", "h:1") })
		p.send(openFailureMsg{expect[openMsg](p).Sender, 2, "Connection refused\x1b[2J", ""})
		got := <-dialled
		require.Nil(t, got.value)
		var refused *connection.OpenError
		require.ErrorAs(t, got.err, &refused)
		require.Equal(t, connection.ConnectFailed, refused.Reason)
		require.ErrorContains(t, got.err, `dial tcp "h:1"`)
		require.NotContains(t, got.err.Error(), "\x1b")
	})
}

func TestEndOfTheContextOfDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := channel.Dial(ctx, c, "tcp", "h:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		p.confirm()
		expect[closeMsg](p) // nobody wants the channel any more
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		conn, _ := forwarded(ctx, t, c, p)
		cancel() // no effect on a connection already dialled
		synctest.Wait()
		_, err := io.WriteString(conn, "x")
		require.NoError(t, err)
		require.Equal(t, "x", string(expect[dataMsg](p).Data))
	})
}

// forwarded has the client dial.
func forwarded(ctx context.Context, t *testing.T, c *connection.Conn, p *peer) (net.Conn, uint32) {
	t.Helper()
	dialled := async(func() (net.Conn, error) { return channel.Dial(ctx, c, "tcp", "h:1") })
	id := p.confirm()
	got := <-dialled
	require.NoError(t, got.err)
	return got.value, id
}

// C9: forwarded connections have no second stream: data that a server sends there takes no
// window from the first stream.
func TestExtendedDataDoesNotStallAForwardedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		conn, id := forwarded(t.Context(), t, c, p)
		sent := 0
		for range 3 * 64 { // three windows of 2 MiB, as far as they are given back
			for _, code := range []uint32{1, 2, 1<<32 - 1} {
				p.send(extendedMsg{id, code, make([]byte, 32<<10)})
				sent += 32 << 10
			}
			synctest.Wait()
		}
		given := 0
		for p.fromClient.length() > 0 {
			m := expect[adjustMsg](p)
			require.Equal(t, uint32(theirID), m.Recipient)
			given += int(m.Bytes)
		}
		require.Greater(t, given, sent-(2<<20)/4)
		p.send(dataMsg{id, []byte("still there")}, eofMsg{id})
		require.Equal(t, "still there", readAll(t, conn))
	})
}

func TestHalfCloseAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		conn, id := forwarded(t.Context(), t, c, p)
		_, err := io.WriteString(conn, "request")
		require.NoError(t, err)
		require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		require.Equal(t, "request", string(expect[dataMsg](p).Data))
		expect[eofMsg](p)
		p.send(dataMsg{id, []byte("answer")}, eofMsg{id})
		require.Equal(t, "answer", readAll(t, conn))
		require.NoError(t, conn.Close())
		expect[closeMsg](p)
		require.NoError(t, conn.Close())
		p.quiet()
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		conn, id := forwarded(t.Context(), t, c, p)
		begin := time.Now()
		require.NoError(t, conn.SetDeadline(begin.Add(time.Minute)))
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())
		require.Equal(t, time.Minute, time.Since(begin))
		synctest.Wait() // both deadlines are at the same time, and not the same timer
		_, err = conn.Write([]byte("late"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		require.NoError(t, conn.SetDeadline(time.Time{}))
		p.send(dataMsg{id, []byte("x")})
		_, err = io.ReadFull(conn, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, conn.SetWriteDeadline(time.Now().Add(time.Hour)))
		n, err := conn.Write(make([]byte, 2<<20)) // twice the window
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 1<<20, n)
	})
}

func TestLostConnectionUnderATunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		conn, id := forwarded(t.Context(), t, c, p)
		p.send(dataMsg{id, []byte("half an ans")})
		p.lose(os.ErrPermission)
		got, err := io.ReadAll(conn)
		require.Equal(t, "half an ans", string(got))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, os.ErrPermission)
		_, err = conn.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrPermission)
		_, err = channel.Dial(t.Context(), c, "tcp", "h:1")
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, os.ErrPermission)
	})
}
