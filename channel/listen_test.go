package channel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

// listen has the client listen, and grants the forwarding.
func (p *peer) listen(c *connection.Conn, network, addr string, reply []byte) net.Listener {
	p.t.Helper()
	listening := async(func() (net.Listener, error) { return channel.Listen(context.Background(), c, network, addr) })
	require.True(p.t, expect[globalRequestMsg](p).WantReply)
	p.send(requestSuccessMsg{reply})
	got := <-listening
	require.NoError(p.t, got.err)
	return got.value
}

// open offers a forwarded connection.
func (p *peer) open(number uint32, host string, port uint32) {
	p.t.Helper()
	p.send(openMsg{"forwarded-tcpip", number, 1 << 20, 32 << 10, forwardedExtra(host, port)})
}

func forwardedExtra(host string, port uint32) []byte {
	return []byte(str(host) + string(u32(port)) + str("192.0.2.9") + "\x00\x00\x30\x39")
}

func accept(l net.Listener) <-chan result[net.Conn] { return async(l.Accept) }

func TestListen(t *testing.T) {
	for name, test := range map[string]struct {
		network, addr string
		reply         []byte
		request       string
		payload       string
		cancel        string
		bound         string // the result of Addr
		cancelled     string
	}{
		"port": {
			"tcp", "127.0.0.1:8080", nil, "tcpip-forward", str("127.0.0.1") + "\x00\x00\x1f\x90", "cancel-tcpip-forward",
			"127.0.0.1:8080", str("127.0.0.1") + "\x00\x00\x1f\x90",
		},
		"port that the server chooses": {
			"tcp", "localhost:0", u32(4711), "tcpip-forward", str("localhost") + "\x00\x00\x00\x00", "cancel-tcpip-forward",
			"localhost:4711", str("localhost") + "\x00\x00\x12\x67",
		},
		"all addresses": {
			"tcp4", ":22", nil, "tcpip-forward", str("") + "\x00\x00\x00\x16", "cancel-tcpip-forward",
			":22", str("") + "\x00\x00\x00\x16",
		},
		"IPv6, and an answer that was not asked for": {
			"tcp6", "[::1]:1", u32(99), "tcpip-forward", str("::1") + "\x00\x00\x00\x01", "cancel-tcpip-forward",
			"[::1]:1", str("::1") + "\x00\x00\x00\x01",
		},
		"unix": {
			"unix", "/run/s", nil, "streamlocal-forward@openssh.com", str("/run/s"), "cancel-streamlocal-forward@openssh.com",
			"/run/s", str("/run/s"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				listening := async(func() (net.Listener, error) { return channel.Listen(t.Context(), c, test.network, test.addr) })
				require.Equal(t, globalRequestMsg{test.request, true, []byte(test.payload)}, expect[globalRequestMsg](p))
				p.send(requestSuccessMsg{test.reply})
				got := <-listening
				require.NoError(t, got.err)
				require.Equal(t, test.bound, got.value.Addr().String())
				require.NoError(t, got.value.Close())
				require.Equal(t, globalRequestMsg{test.cancel, false, []byte(test.cancelled)}, expect[globalRequestMsg](p))
				require.NoError(t, got.value.Close())
				p.quiet()
			})
		})
	}
}

func TestListenThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer any
		text   string
	}{
		"refused":       {requestFailureMsg{}, `"tcpip-forward" refused`},
		"without port":  {requestSuccessMsg{}, "no valid port"},
		"port cut":      {requestSuccessMsg{u32(80)[:3]}, "no valid port"},
		"port too long": {requestSuccessMsg{append(u32(80), 0)}, "no valid port"},
		"port 0":        {requestSuccessMsg{u32(0)}, "no valid port"},
		"port 65536":    {requestSuccessMsg{u32(65536)}, "no valid port"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				listening := async(func() (net.Listener, error) { return channel.Listen(t.Context(), c, "tcp", "localhost:0") })
				expect[globalRequestMsg](p)
				p.send(test.answer)
				got := <-listening
				require.Nil(t, got.value)
				require.ErrorContains(t, got.err, test.text)
				require.ErrorContains(t, got.err, `channel: listen on tcp "localhost:0"`)
				var refused *connection.RequestError
				if name == "refused" {
					require.ErrorAs(t, got.err, &refused)
				}
				p.open(1, "localhost", 80)
				require.Equal(t, uint32(3), expect[openFailureMsg](p).Reason) // nobody is there any more
			})
		})
	}
}

// The first connection comes before, with and right behind the answer to
// Listen, and is not refused.
func TestFirstForwardedConnectionIsDelivered(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			listening := async(func() (net.Listener, error) { return channel.Listen(t.Context(), c, "tcp", "localhost:0") })
			expect[globalRequestMsg](p)
			p.open(1, "localhost", 4711)
			p.send(requestSuccessMsg{u32(4711)})
			p.open(2, "localhost", 4711)
			got := <-listening
			require.NoError(t, got.err)
			for range 2 {
				conn, err := got.value.Accept()
				require.NoError(t, err)
				require.Equal(t, "192.0.2.9:12345", conn.RemoteAddr().String())
				require.Equal(t, "localhost:4711", conn.LocalAddr().String())
				expect[confirmMsg](p)
			}
		})
	}
}

// C12: opens without a listener are refused.
func TestOpensThatNobodyAskedFor(t *testing.T) {
	good := string(forwardedExtra("127.0.0.1", 80))
	for name, m := range map[string]openMsg{
		"other port":         {Type: "forwarded-tcpip", Payload: forwardedExtra("127.0.0.1", 81)},
		"port beyond 16 bit": {Type: "forwarded-tcpip", Payload: forwardedExtra("127.0.0.1", 65536+80)},
		"other host":         {Type: "forwarded-tcpip", Payload: forwardedExtra("192.0.2.1", 80)},
		"all addresses":      {Type: "forwarded-tcpip", Payload: forwardedExtra("", 80)},
		"name":               {Type: "forwarded-tcpip", Payload: forwardedExtra("127.0.0.1.example.com", 80)},
		"no extra data":      {Type: "forwarded-tcpip"},
		"cut":                {Type: "forwarded-tcpip", Payload: []byte(good[:len(good)-1])},
		"too long":           {Type: "forwarded-tcpip", Payload: []byte(good + "\x00")},
		"huge length":        {Type: "forwarded-tcpip", Payload: []byte("\xff\xff\xff\xff" + good[4:])},
		"origin port": {Type: "forwarded-tcpip", Payload: []byte(str("127.0.0.1") + string(u32(80)) +
			str("192.0.2.9") + string(u32(65536)))},
		"path":           {Type: "forwarded-streamlocal@openssh.com", Payload: []byte(str("127.0.0.1") + str(""))},
		"direct-tcpip":   {Type: "direct-tcpip", Payload: forwardedExtra("127.0.0.1", 80)},
		"session":        {Type: "session"},
		"x11":            {Type: "x11", Payload: []byte(str("127.0.0.1") + string(u32(80)))},
		"agent":          {Type: "auth-agent@openssh.com"},
		"a type of text": {Type: "\x1b[0m\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				l := p.listen(c, "tcp", "127.0.0.1:80", nil)
				accepted := accept(l)
				m.Sender, m.Window, m.MaxPacket = 5, 1<<20, 32<<10
				for range 1000 {
					p.send(m)
					refusal := expect[openFailureMsg](p)
					require.Equal(t, uint32(5), refusal.Recipient)
					require.Contains(t, []uint32{1, 3}, refusal.Reason)
				}
				require.Empty(t, accepted)
				p.open(6, "127.0.0.1", 80) // and all is well
				require.NoError(t, (<-accepted).err)
			})
		})
	}
}

// C12: opens after Close are refused.
func TestOpensAfterCloseAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "127.0.0.1:80", nil)
		require.NoError(t, l.Close())
		expect[globalRequestMsg](p)
		p.open(5, "127.0.0.1", 80)
		require.Equal(t, uint32(3), expect[openFailureMsg](p).Reason)
		_, err := l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestListenersGetTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		a := p.listen(c, "tcp", "localhost:80", nil)
		b := p.listen(c, "tcp", "localhost:0", u32(81))
		u := p.listen(c, "unix", "/a", nil)
		v := p.listen(c, "unix", "/b", nil)
		for range 3 {
			for i, l := range []net.Listener{a, b, u, v} {
				accepted := accept(l)
				switch l {
				case a, b:
					p.open(uint32(i), "localhost", uint32(80+i))
				case u:
					p.send(openMsg{"forwarded-streamlocal@openssh.com", uint32(i), 1, 1, []byte(str("/a") + str("reserved"))})
				case v:
					p.send(openMsg{"forwarded-streamlocal@openssh.com", uint32(i), 1, 1, []byte(str("/b") + str(""))})
				}
				require.Equal(t, uint32(i), expect[confirmMsg](p).Recipient)
				got := <-accepted
				require.NoError(t, got.err)
				require.Equal(t, l.Addr(), got.value.LocalAddr())
				require.NotNil(t, got.value.RemoteAddr())
			}
		}
		require.NoError(t, a.Close()) // b is not affected
		expect[globalRequestMsg](p)
		p.open(9, "localhost", 81)
		expect[confirmMsg](p)
	})
}

func TestHostsWithSeveralSpellings(t *testing.T) {
	for _, test := range []struct {
		ours, theirs string
		same         bool
	}{
		{"", "", true},
		{"", "0.0.0.0", true},
		{"", "::", true},
		{"", "*", true},
		{"0.0.0.0", "", true},
		{"::", "0.0.0.0", true},
		{"localhost", "127.0.0.1", true},
		{"localhost", "::1", true},
		{"127.0.0.1", "localhost", true},
		{"LOCALHOST", "localhost", true},
		{"Example.com", "example.COM", true},
		{"2001:db8::1", "2001:DB8::1", true},
		{"", "127.0.0.1", true}, // all addresses: whichever was connected
		{"0.0.0.0", "192.0.2.7", true},
		{"*", "2001:db8::1", true},
		{"example.com", "192.0.2.7", true}, // a name: any address may belong to the name there
		{"example.com", "example.net", false},
		{"", "example.com", false},
		{"localhost", "", false},
		{"localhost", "192.0.2.7", false},
		{"127.0.0.1", "0.0.0.0", false},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "localhost", false},
	} {
		t.Run(fmt.Sprintf("%q and %q", test.ours, test.theirs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				accepted := accept(p.listen(c, "tcp", net.JoinHostPort(test.ours, "80"), nil))
				p.open(1, test.theirs, 80)
				synctest.Wait()
				require.Equal(t, test.same, len(accepted) == 1)
			})
		})
	}
}

// C12: a full backlog refuses further connections.
func TestFullBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		s, id := p.command(c)
		confirmed := 0
		for i := range 300 {
			p.open(uint32(i), "localhost", 80)
			synctest.Wait()
			packet, err := p.fromClient.get()
			require.NoError(t, err)
			var refusal openFailureMsg
			if ssh.Unmarshal(packet, &refusal) != nil {
				confirmed++
				continue
			}
			require.Equal(t, uint32(4), refusal.Reason)
		}
		require.Equal(t, 128, confirmed)
		p.send(dataMsg{id, []byte("nothing has stalled")}, eofMsg{id})
		require.Equal(t, "nothing has stalled", readAll(t, s))
		for range 128 {
			_, err := l.Accept()
			require.NoError(t, err)
		}
		p.open(1000, "localhost", 80)
		expect[confirmMsg](p) // there is room again
	})
}

func TestCloseOfAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		p.open(1, "localhost", 80)
		expect[confirmMsg](p)
		conn, err := l.Accept()
		require.NoError(t, err)
		waiting := []<-chan result[net.Conn]{accept(l), accept(l)}
		require.NoError(t, l.Close())
		expect[globalRequestMsg](p)
		for _, accepted := range waiting {
			require.ErrorIs(t, (<-accepted).err, net.ErrClosed)
		}
		_, err = io.WriteString(conn, "lives on")
		require.NoError(t, err)
		require.Equal(t, "lives on", string(expect[dataMsg](p).Data))
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		for i := range 3 {
			p.open(uint32(i), "localhost", 80)
			expect[confirmMsg](p)
		}
		require.NoError(t, l.Close())
		closed := map[uint32]bool{}
		for range 3 {
			closed[expect[closeMsg](p).Recipient] = true // those that nobody has accepted
		}
		require.Len(t, closed, 3)
		require.Equal(t, "cancel-tcpip-forward", expect[globalRequestMsg](p).Name)
	})
}

// The answers to the opens have no room in the outbox.
func TestCloseOfAListenerWhilePeerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		s, _ := p.command(c)
		p.hold()
		go func() { _, _ = s.Write(make([]byte, 1<<20)) }()
		for range 100 {
			_, _ = s.SendRequest(expired(t), "fill", false, make([]byte, 100<<10))
		}
		for i := range 10 {
			p.open(uint32(i), "localhost", 80)
		}
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, l.Close())
		require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond)
		_, err := l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// expired returns a context that ends a millisecond after now.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestLostConnectionEndsAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		waiting := []<-chan result[net.Conn]{accept(l), accept(l), accept(l)}
		synctest.Wait()
		p.lose(os.ErrPermission)
		for _, accepted := range append(waiting, accept(l)) {
			err := (<-accepted).err
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, err, os.ErrPermission)
		}
		require.NoError(t, l.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		l := p.listen(c, "tcp", "localhost:80", nil)
		accepted := accept(l)
		require.NoError(t, c.Close())
		require.ErrorIs(t, (<-accepted).err, net.ErrClosed)
		_, err := channel.Listen(t.Context(), c, "tcp", "localhost:80")
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestGrantAfterTheEndOfTheContextIsCancelled(t *testing.T) {
	for name, test := range map[string]struct {
		network, addr string
		answer        any
		cancel        *globalRequestMsg
	}{
		"granted": {"tcp", "localhost:0", requestSuccessMsg{u32(4711)},
			&globalRequestMsg{"cancel-tcpip-forward", false, []byte(str("localhost") + string(u32(4711)))}},
		"granted path": {"unix", "/s", requestSuccessMsg{},
			&globalRequestMsg{"cancel-streamlocal-forward@openssh.com", false, []byte(str("/s"))}},
		"refused": {"tcp", "localhost:0", requestFailureMsg{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := channel.Listen(ctx, c, test.network, test.addr)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				expect[globalRequestMsg](p)
				p.quiet()
				p.send(test.answer)
				if test.cancel != nil {
					require.Equal(t, *test.cancel, expect[globalRequestMsg](p))
				}
				p.quiet()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // nothing is left behind when no answer comes
		c, p := start(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := channel.Listen(ctx, c, "tcp", "localhost:0")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		p.lose(io.EOF)
	})
}
