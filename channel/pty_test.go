package channel_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
)

// A terminal is described as RFC 4254 section 6.2 has it: modes without an argument
// and the end mark of the caller's are left out.
func TestRequestsAboutTerminals(t *testing.T) {
	for name, test := range map[string]struct {
		pty     channel.PTY
		payload string
	}{
		"defaults": {channel.PTY{},
			str("xterm") + "\x00\x00\x00\x50\x00\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00" + str("\x00")},
		"everything": {
			channel.PTY{
				Term: "vt100", Size: channel.Size{Columns: 132, Rows: 43, Width: 1056, Height: 0x01020304},
				Modes: ssh.TerminalModes{ssh.VINTR: 3, ssh.ECHO: 0, ssh.TTY_OP_ISPEED: 14400, 0: 9, 160: 1, 255: 1},
			},
			str("vt100") + "\x00\x00\x00\x84\x00\x00\x00\x2b\x00\x00\x04\x20\x01\x02\x03\x04" +
				str("\x01\x00\x00\x00\x03"+"\x35\x00\x00\x00\x00"+"\x80\x00\x00\x38\x40"+"\x00"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.session(c)
				done := call(func() error { return s.RequestPTY(t.Context(), test.pty) })
				m := expect[requestMsg](p)
				require.Equal(t, "pty-req", m.Name)
				require.True(t, m.WantReply)
				require.Equal(t, test.payload, string(m.Payload))
				p.send(successMsg{id})
				require.NoError(t, <-done)

				require.NoError(t, s.Resize(t.Context(), channel.Size{Columns: 1, Rows: 2, Width: 3, Height: 4}))
				m = expect[requestMsg](p)
				require.Equal(t, "window-change", m.Name)
				require.False(t, m.WantReply)
				require.Equal(t, "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04", string(m.Payload))
			})
		})
	}
}
