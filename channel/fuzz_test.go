package channel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
)

// FuzzSession has a byte string script the end of a command: requests of any name and payload,
// data, EOF, CLOSE and a lost connection, each chosen by a byte. A good end needs a complete
// status of 0 and all data read.
func FuzzSession(f *testing.F) {
	status := func(n byte) []byte { return []byte{0, 4, 0, 0, 0, n} }
	f.Add(append(status(0), 4, 5))
	f.Add(append(append([]byte{2, 3, 'o', 'u', 't', 3, 2, 'e', 'r'}, status(7)...), 5))
	f.Add(append([]byte{1, 17, 0, 0, 0, 4, 'K', 'I', 'L', 'L', 0, 0, 0, 0, 0, 0, 0, 0, 0}, append(status(0), 5)...))
	f.Add([]byte{0, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 5})
	f.Add(append(status(0), 4, 6))
	f.Add(append(status(0), 2, 1, 'x', 6))
	f.Add([]byte{7, 7, 'x', 'o', 'n', '-', 'x', 'o', 'f', 7, 15, 'e', 'o', 'w', '@', 'o', 'p', 'e', 'n', 's', 's', 'h', '.', 'c', 'o', 'm', 4, 5})
	f.Add([]byte{4, 2, 1, 'x', 5, 2, 1, 'x'})
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzSession(t, script) })
	})
}

func fuzzSession(t *testing.T, script []byte) {
	c, p := start(t)
	defer c.Close()
	s, id := p.command(c)
	var first []byte // a complete status, or the payload of a signal
	var out []byte
	open, eof, status := true, false, false
	for open && len(script) > 0 {
		step, n := script[0]%8, 0
		script = script[1:]
		if (step < 4 || step == 7) && len(script) > 0 {
			n = min(int(script[0]), len(script)-1)
			script = script[1:]
		}
		payload := script[:n]
		script = script[n:]
		switch step {
		case 0:
			p.send(requestMsg{id, "exit-status", n%2 == 1, payload})
			if first == nil && n == 4 {
				first, status = payload, true
			}
		case 1:
			p.send(requestMsg{id, "exit-signal", n%2 == 1, payload})
			if first == nil && n >= 13 {
				var m struct {
					Signal  string
					Core    bool
					Message string
					Rest    []byte `ssh:"rest"`
				}
				if ssh.Unmarshal(payload, &m) == nil && m.Signal != "" {
					first = payload
				}
			}
		case 2:
			p.send(dataMsg{id, payload})
			if !eof {
				out = append(out, payload...)
			}
		case 3:
			p.send(extendedMsg{id, 1, payload})
		case 4:
			p.send(eofMsg{id})
			eof = true
		case 5:
			p.send(closeMsg{id})
			open = false
		case 6:
			p.lose(io.ErrUnexpectedEOF)
			open = false
		case 7:
			p.send(requestMsg{id, string(payload), n%2 == 1, nil})
		}
		synctest.Wait()
	}
	if open {
		p.lose(io.ErrUnexpectedEOF)
	}
	err := s.Wait(t.Context())
	var exit *channel.ExitError
	switch {
	case err == nil:
		require.True(t, status)
		require.Equal(t, []byte{0, 0, 0, 0}, first)
	case errors.As(err, &exit) && status:
		require.EqualValues(t, binary.BigEndian.Uint32(first), exit.Status)
		require.NotZero(t, exit.Status)
	case errors.As(err, &exit):
		require.NotEmpty(t, exit.Signal)
		require.LessOrEqual(t, len(exit.Error()), 5000)
		require.LessOrEqual(t, len(exit.Message)+len(exit.Signal), 1100)
	}
	_ = s.SetReadDeadline(time.Now().Add(time.Second))
	got, _ := io.ReadAll(s)
	require.True(t, bytes.Equal(out, got))
}

// FuzzForwarded opens a forwarded connection with any extra data. The listener takes the
// connections to its address and port.
func FuzzForwarded(f *testing.F) {
	f.Add(forwardedExtra("127.0.0.1", 4022))
	f.Add(forwardedExtra("localhost", 4022)[:20])
	f.Add(append(forwardedExtra("::1", 4022), 0))
	f.Add(forwardedExtra("", 4023))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, extra []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			defer c.Close()
			l := p.listen(c, "tcp", "127.0.0.1:4022", nil)
			defer l.Close()
			p.send(openMsg{"forwarded-tcpip", 5, 1 << 20, 1 << 15, extra})
			synctest.Wait()
			packet, err := p.fromClient.get()
			require.NoError(t, err)
			var m struct {
				Host       string
				Port       uint32
				Origin     string
				OriginPort uint32
			}
			mine := ssh.Unmarshal(extra, &m) == nil && m.Port == 4022 && m.OriginPort <= 65535
			if packet[0] == 92 {
				require.False(t, mine && m.Host == "127.0.0.1")
				return
			}
			require.Equal(t, byte(91), packet[0])
			require.True(t, mine && (strings.EqualFold(m.Host, "localhost") || net.ParseIP(m.Host).IsLoopback()))
			conn, err := l.Accept()
			require.NoError(t, err)
			require.Equal(t, "tcp", conn.RemoteAddr().Network())
			require.NoError(t, conn.Close())
		})
	})
}

// FuzzChosenPort answers a request to listen on any port with anything.
func FuzzChosenPort(f *testing.F) {
	f.Add(u32(4022))
	f.Add(u32(0))
	f.Add(u32(65536))
	f.Add([]byte{0, 0, 1})
	f.Add([]byte{0, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, reply []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t)
			defer c.Close()
			listening := async(func() (net.Listener, error) { return channel.Listen(context.Background(), c, "tcp", "127.0.0.1:0") })
			expect[globalRequestMsg](p)
			p.send(requestSuccessMsg{reply})
			got := <-listening
			if got.err == nil {
				require.Len(t, reply, 4)
				require.EqualValues(t, binary.BigEndian.Uint32(reply), got.value.Addr().(*net.TCPAddr).Port)
				require.NoError(t, got.value.Close())
			}
		})
	})
}
