package sshtest

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Scripted starts a server that plays the script with every client, and closes
// it when the test ends. It is [NewServer] with Options.Script and
// Options.InMemory: clients reach it by Server.DialContext.
func Scripted(tb testing.TB, script func(p *Peer)) *Server {
	tb.Helper()
	return NewServer(tb, &Options{Script: script, InMemory: true})
}

// A Peer is the server's side of one connection, played by a script. It has
// real keys and can do a real key exchange, by curve25519-sha256 and with
// aes128-gcm@openssh.com; all else it does, or does not, as the script says.
//
//	s := sshtest.Scripted(t, func(p *sshtest.Peer) {
//		p.Login()
//		id, _ := p.AcceptCommand()
//		p.Send(sshtest.ChannelCloseMsg{Recipient: id}) // and no exit status
//		p.Drain()
//	})
//
// The connection is closed when the script returns. A script also ends, by
// [runtime.Goexit], in the method that finds the connection gone, or finds
// there what the script does not expect: the latter fails the test. Why it
// ended, and what a client said in its DISCONNECT, is in Server.Log; a deferred
// function of the script still has it in Farewell.
//
// The methods are for the script's own goroutine. Beside it one other may
// send, while no keys are exchanged.
type Peer struct {
	// These fields say in what the peer departs from an honest server. The
	// script sets them before it calls the methods that they concern.

	Version            string                 // sent as it is if it has an end of line; default Options.Version
	HostKey            ssh.Signer             // default the first of Options.HostKeys
	SignatureAlgorithm string                 // of the key exchange; default what HostKey signs by itself
	Lax                bool                   // no strict key exchange (OpenSSH PROTOCOL section 1.9)
	KexInit            func(*KexInitMsg)      // changes KEXINIT
	KexReply           func(*KexECDHReplyMsg) // changes the reply, which is signed already

	// Noise puts IGNORE, DEBUG and UNIMPLEMENTED before each packet, wherever
	// a client has to bear that: not before KEXINIT, and with strict key
	// exchange not before the first NEWKEYS.
	Noise bool

	// These fields are what the peer knows by now.

	Conn           net.Conn // what it runs on, for the script to close, or to break
	ClientVersion  string   // without the end of the line
	ClientKexInit  []byte   // the latest
	SessionID      []byte
	Exchanges      int            // that are complete
	Sent, Received uint32         // sequence numbers of the next packets
	Farewell       *DisconnectMsg // with which the client has left; nil if it has not

	server         *Server
	in             *bufio.Reader
	before, after  map[byte][]any
	instead        map[byte]any
	kexInit        []byte // our latest
	public         []byte // the client's first message of an exchange, received before it is wanted
	strict         bool
	sealing        *packetKey // nil: in clear
	opening        *packetKey
	frame          []byte   // the latest that Send sent, for its room
	early          [][]byte // packets that came before they were asked for
	channels       uint32   // that were confirmed
	authentication bool     // is over
}

// play runs the script on a goroutine that it may end.
func (s *Server) play(o *Options, c net.Conn) {
	p := &Peer{
		Version: o.Version, HostKey: o.HostKeys[0], Conn: c, server: s, in: bufio.NewReader(c),
		before: make(map[byte][]any), after: make(map[byte][]any), instead: make(map[byte]any),
	}
	if p.Version == "" {
		p.Version = defaultVersion
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		o.Script(p)
	}()
	<-done
}

// Before has messages sent before each one of that number, by whatever method.
// Messages are as for Send. None at all takes back what was said.
func (p *Peer) Before(number byte, messages ...any) { p.before[number] = messages }

// After is Before for messages sent behind it; behind NEWKEYS, under the new
// keys.
func (p *Peer) After(number byte, messages ...any) { p.after[number] = messages }

// Instead has a message sent in place of each one of that number. A NEWKEYS
// replaced changes the keys nevertheless. Nil takes back what was said.
func (p *Peer) Instead(number byte, message any) { p.instead[number] = message }

// Fatalf fails the test and ends the script.
func (p *Peer) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(&p.server.log, "script: %s\n", text)
	if p.server.tb != nil {
		p.server.tb.Errorf("sshtest: script: %s", text)
	}
	runtime.Goexit()
}

// check ends the script when the connection has failed, which is for the
// client to notice.
func (p *Peer) check(err error) {
	if err != nil {
		fmt.Fprintf(&p.server.log, "script: %v\n", err)
		runtime.Goexit()
	}
}

// leave ends the script when the client has said goodbye. Whether it was right
// to do so is for the test to check.
func (p *Peer) leave(goodbye []byte) {
	p.note(goodbye)
	runtime.Goexit()
}

// note keeps a farewell.
func (p *Peer) note(goodbye []byte) {
	var m DisconnectMsg
	if err := ssh.Unmarshal(goodbye, &m); err != nil {
		p.Fatalf("DISCONNECT %x: %v", goodbye, err)
	}
	p.Farewell = &m
	fmt.Fprintf(&p.server.log, "script: the client disconnects for reason %d: %q\n", m.Reason, m.Message)
}
