package sshtest

import (
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// Options says how a server in the process differs from the default: a user
// "gopher" with a random password, an ed25519 host key, and the commands of
// [Session]. The server copies the struct, and the caller must not change the
// values below later.
type Options struct {
	User     string // default "gopher"
	Password string // default random

	// AuthorizedKeys are accepted beside Server.Signer, as are UserCA's
	// certificates for the user.
	AuthorizedKeys []ssh.PublicKey
	UserCA         ssh.PublicKey

	// Questions are asked by keyboard-interactive, all in one round. Without
	// questions the method is not offered.
	Questions []Question

	// Factors are the methods for a login, in their order; each but the last
	// succeeds partially (RFC 4252 section 5.1). By default any of password,
	// publickey and keyboard-interactive is enough. "none" alone lets
	// everybody in.
	Factors []string

	MaxAuthTries            int      // failed attempts until the server hangs up; default 6, negative: no limit
	PublicKeyAuthAlgorithms []string // default x/crypto's
	Banner                  string   // shown before authentication

	HostKeys []ssh.Signer // at most one of each type; default one ed25519
	HostCA   ssh.Signer   // signs a certificate for each host key; the server offers both
	Version  string       // default "SSH-2.0-sshtest"
	Config   ssh.Config   // algorithms and RekeyThreshold; default x/crypto's

	// Handlers are commands by their whole text or by their first word. The
	// server prefers handlers to its own commands, and the whole text to the
	// first word.
	Handlers   map[string]HandlerFunc
	Subsystems map[string]HandlerFunc // by name; default none
	Shell      HandlerFunc            // default: reads commands line by line

	// Exec runs other commands with sh -c on this machine, as the user of this
	// process. Clients get no real pty then, although the request is granted.
	Exec bool

	// Script plays the server by hand, once for each connection and on a
	// goroutine of its own. Of the other fields only User, HostKeys, Version
	// and InMemory have a meaning then. See [Scripted].
	Script func(p *wire.Peer)

	// InMemory means a server without a listener, for testing/synctest.
	// Clients connect by Server.DialContext or Server.ServeConn. Create and
	// use the server inside the same bubble.
	InMemory bool
}

// A Question is a prompt of keyboard-interactive authentication (RFC 4256
// section 3.2) and the only right answer.
type Question struct {
	Prompt string
	Echo   bool
	Answer string
}
