package sshtest

import (
	"golang.org/x/crypto/ssh"
)

// Options says how a server in the process differs from the default one: a
// user "gopher" with a random password, an ed25519 host key, and the commands
// of [Session]. It is copied; what it points to must not change afterwards.
type Options struct {
	User     string // default "gopher"
	Password string // default random

	// AuthorizedKeys are accepted beside Server.Signer, and so are user
	// certificates that UserCA signed for the user.
	AuthorizedKeys []ssh.PublicKey
	UserCA         ssh.PublicKey

	// Questions, when there are any, are what keyboard-interactive asks, all
	// in one round. Without them that method is not offered.
	Questions []Question

	// Factors are the methods that a client must succeed with, in this order,
	// each but the last a partial success (RFC 4252 section 5.1). By default
	// any one of password, publickey and keyboard-interactive is enough.
	// "none" alone lets everybody in.
	Factors []string

	MaxAuthTries            int      // failed attempts until the server hangs up; default 6, negative: no limit
	PublicKeyAuthAlgorithms []string // default x/crypto's
	Banner                  string   // shown before authentication

	HostKeys []ssh.Signer // at most one of each type; default one ed25519
	HostCA   ssh.Signer   // signs a certificate for each host key, which is then offered too
	Version  string       // default "SSH-2.0-sshtest"
	Config   ssh.Config   // algorithms and RekeyThreshold; default x/crypto's

	// Handlers are commands by their first word or, before that, their whole
	// text. They come before the commands that the server has of its own.
	Handlers   map[string]HandlerFunc
	Subsystems map[string]HandlerFunc // by name; default none
	Shell      HandlerFunc            // default: reads commands line by line

	// Exec runs what no handler is named for with sh -c on this machine, as
	// the user of this process. A pty is then granted but is none.
	Exec bool

	// Script plays the server by hand, once for each connection and on a
	// goroutine of its own. Of the other fields only User, HostKeys, Version
	// and InMemory then mean something. See [Scripted].
	Script func(p *Peer)

	// InMemory is a server without a listener, for testing/synctest: it is
	// reached by Server.DialContext and Server.ServeConn. Create and use it
	// inside the same bubble.
	InMemory bool
}

// A Question is one prompt of keyboard-interactive authentication (RFC 4256
// section 3.2) and the only answer that is right.
type Question struct {
	Prompt string
	Echo   bool
	Answer string
}
