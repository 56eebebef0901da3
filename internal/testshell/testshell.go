// Package testshell runs the commands of sshtest's servers in the process:
// either a few commands of a POSIX shell that are written in Go, so that a test
// needs no other machine and no other time than its own, or the programs of
// this machine.
//
// The package knows nothing of SSH but the names of signals.
package testshell

import (
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A Command is what a client wants run, and the client's side of it.
type Command struct {
	Env    []string // "name=value"
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Signals <-chan ssh.Signal // from the client
	Done    <-chan struct{}   // closed when the client has closed the session or is gone

	// Terminal returns the client's terminal, or nil where there is none.
	Terminal func() *Terminal

	// Tasks counts the goroutines of the command. Some of them end with the
	// session, later than the command.
	Tasks *sync.WaitGroup
}

// A Terminal is the size and the name of a client's terminal.
type Terminal struct {
	Term          string
	Rows, Columns uint32
}

// An Exit is how a command ended.
type Exit struct {
	Status int        // negative: no status
	Signal ssh.Signal // of which the command died; empty for most
}
