package channel

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Size is the size of a terminal, RFC 4254 section 6.2. Width and Height, in
// pixels, may be 0.
type Size struct {
	Columns, Rows uint32
	Width, Height uint32
}

// PTY describes the pseudo-terminal to ask for.
type PTY struct {
	Term  string // the TERM of the other side; empty is "xterm"
	Size         // 80 columns and 24 rows where 0
	Modes ssh.TerminalModes
}

// RequestPTY asks for a pseudo-terminal for the command to be started, RFC 4254 section 6.2.
// Start reports whether the server refused. With a terminal there is no standard error: the
// server sends all as output.
func (s *Session) RequestPTY(ctx context.Context, pty PTY) error {
	if pty.Term == "" {
		pty.Term = "xterm"
	}
	if pty.Columns == 0 {
		pty.Columns = 80
	}
	if pty.Rows == 0 {
		pty.Rows = 24
	}
	return s.ask(ctx, "pseudo-terminal", "pty-req", ssh.Marshal(struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        []byte
	}{pty.Term, pty.Columns, pty.Rows, pty.Width, pty.Height, encodeModes(pty.Modes)}))
}

// Resize tells the server the new size of our terminal, RFC 4254 section 6.7.
// There is no answer.
func (s *Session) Resize(ctx context.Context, size Size) error {
	_, err := s.SendRequest(ctx, "window-change", false, ssh.Marshal(size))
	return wrap("window-change", err)
}

// encodeModes encodes terminal modes, RFC 4254 section 8. TTY_OP_END, 0, ends
// them; from 160 on a mode has no defined argument, and is left out.
func encodeModes(modes ssh.TerminalModes) []byte {
	var b []byte
	for _, op := range slices.Sorted(maps.Keys(modes)) {
		if op > 0 && op < 160 {
			b = binary.BigEndian.AppendUint32(append(b, op), modes[op])
		}
	}
	return append(b, 0)
}
