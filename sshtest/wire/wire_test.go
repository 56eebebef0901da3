package wire_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

func TestScriptedServerIsHonestWhereNotToldOtherwise(t *testing.T) {
	ed25519, rsa := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoRSA)
	extension := ssh.Marshal(struct{ Name, Value string }{"server-sig-algs", ssh.KeyAlgoED25519})
	for name, lie := range map[string]func(p *wire.Peer){
		"not told":       func(p *wire.Peer) {},
		"no strict kex":  func(p *wire.Peer) { p.Lax = true },
		"lines before":   func(p *wire.Peer) { p.Version = "hello\r\nyou\r\nSSH-2.0-x\r\n" },
		"other host key": func(p *wire.Peer) { p.HostKey, p.SignatureAlgorithm = rsa, ssh.KeyAlgoRSASHA512 },
		"EXT_INFO":       func(p *wire.Peer) { p.After(21, wire.ExtInfoMsg{Count: 1, Pairs: extension}) },
	} {
		for where, inMemory := range map[string]bool{"TCP": false, "memory": true} {
			t.Run(name+", "+where, func(t *testing.T) {
				s := sshtest.NewServer(t, &sshtest.Options{
					HostKeys: []ssh.Signer{ed25519, rsa},
					InMemory: inMemory,
					Script: func(p *wire.Peer) {
						lie(p)
						p.Login()
						p.After(21)
						greet(p)
						if p.Exchanges != 4 {
							p.Fatalf("%d exchanges", p.Exchanges)
						}
					},
				})
				out, err := output(t, s, nil)
				require.NoError(t, err)
				require.Equal(t, "greet", out)
			})
		}
	}
}

func TestScriptedServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.Scripted(t, func(p *wire.Peer) {
			p.Login()
			time.Sleep(time.Hour)
			greet(p)
		})
		start := time.Now()
		out, err := output(t, s, nil)
		require.NoError(t, err)
		require.Equal(t, "greet", out)
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestLiesReachTheClient(t *testing.T) {
	for name, test := range map[string]struct {
		lie  func(p *wire.Peer)
		want string // of x/crypto's error
	}{
		"another host key": {func(p *wire.Peer) { p.HostKey = sshtest.NewSigner(t, ssh.KeyAlgoED25519) }, "host key mismatch"},
		"wrong signature":  {func(p *wire.Peer) { p.KexReply = func(m *wire.KexECDHReplyMsg) { m.Signature[30] ^= 1 } }, "signature"},
		"no common cipher": {func(p *wire.Peer) { p.KexInit = func(m *wire.KexInitMsg) { m.CipherOut = nil } }, "no common algorithm"},
		"long version":     {func(p *wire.Peer) { p.Version = strings.Repeat("x", 300) }, "overflow"},
		"before KEXINIT":   {func(p *wire.Peer) { p.Before(20, []byte{99}) }, "first packet"},
		"behind KEXINIT":   {func(p *wire.Peer) { p.After(20, []byte{99}) }, "message type"},
		"for NEWKEYS":      {func(p *wire.Peer) { p.Instead(21, wire.DisconnectMsg{2, "why", ""}) }, "why"},
		"behind NEWKEYS":   {func(p *wire.Peer) { p.After(21, wire.UserauthSuccessMsg{}) }, "message type"},
		"packet left out":  {func(p *wire.Peer) { p.Handshake(); p.Seal([]byte{2}); p.Send([]byte{2}) }, "authentication failed"},
		"long packet":      {func(p *wire.Peer) { p.Handshake(); p.SendRaw(p.SealBody(1<<30, make([]byte, 16))) }, "packet length"},
		"wrong padding":    {func(p *wire.Peer) { p.Handshake(); p.SendRaw(p.SealBody(16, make([]byte, 16))) }, "padding"},
		"bytes in clear":   {func(p *wire.Peer) { p.SendVersion(); p.SendRaw([]byte("GET / HTTP/1.1")) }, "packet length"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *wire.Peer) {
				test.lie(p)
				if p.Sent == 0 {
					p.Handshake()
				}
				p.Drain()
			})
			_, err := try(t, s, nil)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestClientThatDoesNotWhatTheScriptExpectsFailsTheTest(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *wire.Peer)
		want   string // nothing: the test does not fail
	}{
		"another message":       {func(p *wire.Peer) { p.Login(); wire.Expect[wire.ChannelEOFMsg](p) }, "message 90 instead of wire.ChannelEOFMsg"},
		"another number":        {func(p *wire.Peer) { p.Login(); p.Receive(93, 94) }, "message 90 instead of [93 94]"},
		"no packet":             {func(p *wire.Peer) { p.SendVersion(); p.Receive() }, "malformed packet: packet_length"},
		"words of the script":   {func(p *wire.Peer) { p.Fatalf("no %d", 7) }, "script: no 7"},
		"connection that fails": {func(p *wire.Peer) { p.Conn.Close(); p.Handshake() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tb := new(failures)
			ended := make(chan bool, 1)
			s := sshtest.Scripted(tb, func(p *wire.Peer) {
				defer func() { ended <- true }()
				test.script(p)
				ended <- false
			})
			_, err := output(t, s, nil)
			require.Error(t, err)
			require.NoError(t, s.Close())
			require.True(t, <-ended)
			require.Contains(t, tb.text, test.want)
			require.Equal(t, test.want == "", tb.text == "")
			require.Contains(t, s.Log(), "script: ")
		})
	}
}

func TestEachFaultIsNoticedOrBorne(t *testing.T) {
	for kind := sshtest.Pass; kind <= sshtest.Swap; kind++ {
		for _, after := range []int64{0, 5, 30, 1000, 1 << 20} {
			f := sshtest.Fault{Kind: kind, After: after, Chunk: 7, Every: time.Microsecond}
			for name, faults := range map[string]sshtest.Faults{"in": {In: f}, "out": {Out: f}, "both": {In: f, Out: f}} {
				t.Run(fmt.Sprintf("kind %d after %d %s", kind, after, name), func(t *testing.T) {
					borne := after == 1<<20 || kind == sshtest.Pass
					s := sshtest.Scripted(new(failures), func(p *wire.Peer) {
						p.Login()
						greet(p)
					})
					defer s.Close()
					out, err := output(t, s, func(c net.Conn) net.Conn {
						c = faults.Conn(c)
						if !borne {
							require.NoError(t, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
						}
						return c
					})
					if borne {
						require.NoError(t, err)
						require.Equal(t, "greet", out)
					} else {
						require.Error(t, err)
					}
				})
			}
		}
	}
}
