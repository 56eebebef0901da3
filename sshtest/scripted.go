package sshtest

import (
	"net"
	"testing"

	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// Scripted starts a server that plays the script with every client, and closes
// the server when the test ends. Scripted is [NewServer] with Options.Script
// and Options.InMemory: clients connect by Server.DialContext. The test fails
// when a client does not do what the script expects.
func Scripted(tb testing.TB, script func(p *wire.Peer)) *Server {
	tb.Helper()
	return NewServer(tb, &Options{Script: script, InMemory: true})
}

// play serves c by the script of the options.
func (s *Server) play(o *Options, c net.Conn) {
	config := &wire.Config{HostKey: o.HostKeys[0], Version: o.Version, Log: &s.log}
	if s.tb != nil {
		config.Errorf = s.tb.Errorf
	}
	wire.Play(c, config, o.Script)
}
