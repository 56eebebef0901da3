// Package wire speaks SSH by hand, for tests of clients: every message of the
// RFCs is a struct, and a [Peer] sends the messages truly or falsely, as a
// script says.
//
// [Play] runs a script on a connection, and sshtest.Scripted starts a server
// that plays a script with each client. A Peer does a real key exchange with a
// real host key and keeps keys and sequence numbers, and otherwise knows no
// rules: a script may leave a message out, repeat, change or truncate a
// message, or break off at any byte.
//
// The package is for tests only, and imports nothing else of its module: a
// client and a peer that shared code would share mistakes.
package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"

	"golang.org/x/crypto/ssh"
)

// A Config says how [Play] begins. HostKey is required.
type Config struct {
	HostKey ssh.Signer
	Version string // default "SSH-2.0-sshtest"

	// Log gets a line for each event that ends a script. Errorf fails the test
	// when the client does not do what the script expects. Nil drops the text.
	Log    io.Writer
	Errorf func(format string, args ...any)
}

// Play runs the script as the server's side of c, and returns when the script
// has ended. Play owns c, and closes c at the end.
func Play(c net.Conn, config *Config, script func(p *Peer)) {
	p := &Peer{
		Version: config.Version, HostKey: config.HostKey, Conn: c,
		log: config.Log, errorf: config.Errorf, in: bufio.NewReader(c),
		before: make(map[byte][]any), after: make(map[byte][]any), instead: make(map[byte]any),
	}
	if p.Version == "" {
		p.Version = defaultVersion
	}
	if p.log == nil {
		p.log = io.Discard
	}
	// The script has a goroutine of its own, because Goexit may end the script.
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		script(p)
	}()
	<-done
}

// A Peer is the server's side of one connection, played by a script. A Peer
// has real keys and can do a real key exchange, by curve25519-sha256 and with
// aes128-gcm@openssh.com. The script decides all else.
//
//	s := sshtest.Scripted(t, func(p *wire.Peer) {
//		p.Login()
//		id, _ := p.AcceptCommand()
//		p.Send(wire.ChannelCloseMsg{Recipient: id}) // and no exit status
//		p.Drain()
//	})
//
// The end of the script closes the connection. A method ends the script too,
// by [runtime.Goexit], when the connection is gone, or when the client does
// not do what the script expects; the latter fails the test. Config.Log
// (Server.Log of a scripted server) names the reason, and quotes a client's
// DISCONNECT. Deferred functions of the script find the DISCONNECT in
// Farewell.
//
// The script's own goroutine calls the methods. One other goroutine may send
// at the same time, except during a key exchange.
type Peer struct {
	// The script sets these fields, which make the peer depart from an honest
	// server, before the methods concerned.

	Version            string                 // sent unchanged if there is an end of line in the text; default Config.Version
	HostKey            ssh.Signer             // default Config.HostKey
	SignatureAlgorithm string                 // of the key exchange; default the algorithm of HostKey.Sign
	Lax                bool                   // no strict key exchange (OpenSSH PROTOCOL section 1.9)
	KexInit            func(*KexInitMsg)      // changes KEXINIT
	KexReply           func(*KexECDHReplyMsg) // changes the reply after the signature

	// Noise puts IGNORE, DEBUG and UNIMPLEMENTED before each packet, wherever
	// a client must bear noise: not before KEXINIT, and with strict key
	// exchange not before the first NEWKEYS.
	Noise bool

	// The peer keeps these fields up to date.

	Conn           net.Conn // for the script to close, or to break
	ClientVersion  string   // without the end of the line
	ClientKexInit  []byte   // the latest
	SessionID      []byte
	Exchanges      int            // complete ones
	Sent, Received uint32         // sequence numbers of the next packets
	Farewell       *DisconnectMsg // of the client; nil before

	log            io.Writer
	errorf         func(format string, args ...any) // may be nil
	in             *bufio.Reader
	before, after  map[byte][]any
	instead        map[byte]any
	kexInit        []byte // our latest
	public         []byte // the client's first message of an exchange, received by Receive
	strict         bool
	sealing        *packetKey // nil: in clear
	opening        *packetKey
	frame          []byte   // of the latest packet; reused
	kept           [][]byte // packets for later calls of Receive
	channels       uint32   // confirmed ones
	authentication bool     // is over
}

// Before adds messages before each message with the number, whichever
// method sends the latter. The messages are as for Send. No messages at all
// end the effect.
func (p *Peer) Before(number byte, messages ...any) { p.before[number] = messages }

// After adds messages behind each message with the number; behind NEWKEYS,
// under the new keys. The messages are as for Before.
func (p *Peer) After(number byte, messages ...any) { p.after[number] = messages }

// Instead sends a message in place of each message with the number. A
// replaced NEWKEYS changes the keys nevertheless. Nil ends the effect.
func (p *Peer) Instead(number byte, message any) { p.instead[number] = message }

// Fatalf fails the test and ends the script.
func (p *Peer) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.log, "script: %s\n", text)
	if p.errorf != nil {
		p.errorf("wire: script: %s", text)
	}
	runtime.Goexit()
}

// check ends the script when the connection has failed. The client has to
// notice the failure.
func (p *Peer) check(err error) {
	if err != nil {
		fmt.Fprintf(p.log, "script: %v\n", err)
		runtime.Goexit()
	}
}

// leave ends the script after a DISCONNECT of the client. The test checks
// whether the client was right.
func (p *Peer) leave(goodbye []byte) {
	p.note(goodbye)
	runtime.Goexit()
}

// note keeps a DISCONNECT.
func (p *Peer) note(goodbye []byte) {
	var m DisconnectMsg
	if err := ssh.Unmarshal(goodbye, &m); err != nil {
		p.Fatalf("DISCONNECT %x: %v", goodbye, err)
	}
	p.Farewell = &m
	fmt.Fprintf(p.log, "script: the client disconnects for reason %d: %q\n", m.Reason, m.Message)
}
