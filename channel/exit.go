package channel

import (
	"fmt"

	"golang.org/x/crypto/ssh"
)

// ExitError is the end of a command with another status than 0, or by a signal. The text has no
// prefix, as in os/exec: the command has failed, and not this package.
type ExitError struct {
	// Status is the exit status, or -1 if a signal ended the command.
	Status int
	// Signal is the signal that ended the command, without "SIG"; else empty.
	Signal ssh.Signal
	// Message is the server's explanation of the signal, cut to 1 KiB: a text of the server,
	// not safe for a terminal.
	Message string
	// Stderr is the end of the command's standard error, if the caller collected it, as
	// Cmd.Output does.
	Stderr []byte
}

func (e *ExitError) Error() string {
	switch {
	case e.Signal == "":
		return fmt.Sprintf("command exited with status %d", e.Status)
	case e.Message == "":
		return fmt.Sprintf("command was ended by signal %q", string(e.Signal))
	default:
		return fmt.Sprintf("command was ended by signal %q: %q", string(e.Signal), e.Message)
	}
}

// maxSignal and maxMessage bound the server's text in an exit-signal, in bytes.
const (
	maxSignal  = 64
	maxMessage = 1024
)

// parseExitStatus reads RFC 4254 section 6.10. A malformed status counts as none.
func parseExitStatus(payload []byte) *ExitError {
	var m struct{ Status uint32 }
	if ssh.Unmarshal(payload, &m) != nil {
		return nil
	}
	return &ExitError{Status: int(m.Status)}
}

// parseExitSignal reads the other half of RFC 4254 section 6.10. Rest is the
// language tag, which some servers omit.
func parseExitSignal(payload []byte) *ExitError {
	var m struct {
		Signal     string
		CoreDumped bool
		Message    string
		Rest       []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(payload, &m) != nil || m.Signal == "" {
		return nil
	}
	return &ExitError{
		Status:  -1,
		Signal:  ssh.Signal(m.Signal[:min(len(m.Signal), maxSignal)]),
		Message: m.Message[:min(len(m.Message), maxMessage)],
	}
}
