package transport_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// V3 and V5: accepted versions.
func TestVersionsThatAreAccepted(t *testing.T) {
	for name, test := range map[string]struct{ greeting, version string }{
		"with a comment":      {"SSH-2.0-x y z\r\n", "SSH-2.0-x y z"},
		"lone line feed":      {"SSH-2.0-x\n", "SSH-2.0-x"},
		"1.99":                {"SSH-1.99-Cisco-1.25\n", "SSH-1.99-Cisco-1.25"},
		"255 bytes":           {"SSH-2.0-" + strings.Repeat("v", 245) + "\r\n", "SSH-2.0-" + strings.Repeat("v", 245)},
		"after a greeting":    {"Hello\r\n\r\nthere\nSSH-2.0-x\r\n", "SSH-2.0-x"},
		"after 1000 lines":    {strings.Repeat(strings.Repeat("l", 253)+"\r\n", 1000) + "SSH-2.0-x\r\n", "SSH-2.0-x"},
		"after 1023 lines":    {strings.Repeat("\n", 1023) + "SSH-2.0-x\r\n", "SSH-2.0-x"},
		"after a long line":   {strings.Repeat("l", 8190) + "\r\nSSH-2.0-x\r\n", "SSH-2.0-x"},
		"after lower case":    {"ssh-2.0-no\r\nSSH-2.0-x\r\n", "SSH-2.0-x"},
		"UTF-8 in a comment":  {"SSH-2.0-x grüße\r\n", "SSH-2.0-x grüße"},
		"hyphens in software": {"SSH-2.0-a-b-c\r\n", "SSH-2.0-a-b-c"},
	} {
		t.Run(name, func(t *testing.T) {
			c := connected(t, transport.Config{}, func(p *wire.Peer) { p.Version = test.greeting }, drain)
			require.Equal(t, test.version, c.State().ServerVersion)
		})
	}
}

// V3, V4 and V5: refused versions, and the text of the error.
func TestVersionsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ greeting, says string }{
		"V5 NUL":                 {"SSH-2.0-x\x00y\r\n", `"SSH-2.0-x\x00y"`},
		"V5 CR in the middle":    {"SSH-2.0-x\ry\r\n", `"SSH-2.0-x\ry"`},
		"V5 two CRs":             {"SSH-2.0-x\r\r\n", `"SSH-2.0-x\r"`},
		"V5 C1 control":          {"SSH-2.0-x\u009b2J\r\n", `"SSH-2.0-x\u009b2J"`},
		"V5 bidi override":       {"SSH-2.0-x\u202ey\r\n", `"SSH-2.0-x\u202ey"`},
		"V5 escape sequence":     {"SSH-2.0-\x1b[2J\a\r\n", `"SSH-2.0-\x1b[2J\a"`},
		"V5 DEL":                 {"SSH-2.0-x\x7f\r\n", `\x7f`},
		"V5 256 bytes":           {"SSH-2.0-" + strings.Repeat("v", 246) + "\r\n", "longer than 255 bytes"},
		"V5 1.5":                 {"SSH-1.5-x\r\n", `unsupported version "SSH-1.5-x"`},
		"V5 3.0":                 {"SSH-3.0-x\r\n", `unsupported version "SSH-3.0-x"`},
		"V5 no software":         {"SSH-2.0\r\n", `unsupported version "SSH-2.0"`},
		"V5 empty software":      {"SSH-2.0-\r\n", `unsupported version "SSH-2.0-"`},
		"V3 1024 lines":          {strings.Repeat("x\r\n", 1024) + "SSH-2.0-x\r\n", "no SSH version in 1024 lines"},
		"V3 line of 8193 bytes":  {strings.Repeat("x", 8192) + "\nSSH-2.0-x\r\n", "line of more than 8192 bytes"},
		"V3 line without an end": {strings.Repeat("x", 9000), "line of more than 8192 bytes"},
		"V3 version without end": {"SSH-2.0-" + strings.Repeat("x", 9000), "line of more than 8192 bytes"},
		"V4 HTTP":                {strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 1024), `"HTTP/1.1 400 Bad Request\r\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := refused(t, transport.Config{}, func(p *wire.Peer) { p.Version = test.greeting })
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			require.ErrorContains(t, err, test.says)
			require.Less(t, len(err.Error()), 1200)
		})
	}
}

// V4: the last words of a server that hangs up are in the error, escaped.
func TestServerThatTurnsUsAway(t *testing.T) {
	for _, words := range []string{
		"Exceeded MaxStartups\r\n",
		"Not allowed at this time\r\n",
		"Not allowed\x1b[31m",
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"\x15\x03\x01\x00\x02\x02\x28", // a TLS alert
	} {
		t.Run(words, func(t *testing.T) {
			c := client(t, transport.Config{}, func(p *wire.Peer) {
				p.ReceiveVersion()
				p.SendRaw([]byte(words))
			})
			err := c.Handshake(t.Context())
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "transport: version exchange: server closed the connection")
			require.Contains(t, err.Error(), "the server said")
			require.NotContains(t, err.Error(), "\x1b")
			requireEnded(t, c, err)
		})
	}
}

// cutter closes the connection after that many bytes were written.
type cutter struct {
	net.Conn
	left    int
	written int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left < 0 || len(p) <= c.left {
		n, err := c.Conn.Write(p)
		c.left, c.written = c.left-n, c.written+n
		return n, err
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.Close()
	return n, net.ErrClosed
}

// V7: the server hangs up after each byte of the handshake.
func TestServerThatHangsUpInTheHandshake(t *testing.T) {
	try := func(left int) (written int, err error) {
		near, far := sshtest.Pipe()
		over := make(chan *cutter, 1)
		cut := &cutter{Conn: far, left: left}
		s := scripted(t, func(p *wire.Peer) {
			defer func() { over <- cut }()
			p.Handshake()
		})
		go s.ServeConn(cut)
		c := transport.Client(near, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		err = c.Handshake(t.Context())
		if err != nil {
			requireEnded(t, c, err)
		}
		require.NoError(t, c.Close())
		return (<-over).written, err
	}
	all, err := try(1 << 30)
	require.NoError(t, err)
	require.Greater(t, all, 300)
	for n := range all {
		_, err := try(n)
		require.Error(t, err, "after %d bytes", n)
		require.NotErrorIs(t, err, io.EOF)
		require.Regexp(t, `^transport: (version|key) exchange: `, err.Error())
	}
}
