package transport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// monologue is a connection with a fixed speech. A monologue hangs up at the end, and
// listens to nothing.
type monologue struct{ bytesConn }

func (m monologue) Write(p []byte) (int, error) { return len(p), nil }
func (m monologue) Close() error                { return nil }

// hear runs a handshake with the bytes said by a server.
func hear(t *testing.T, said []byte) error {
	near, _ := sshtest.Pipe()
	c := transport.Client(monologue{bytesConn{near, bytes.NewReader(said)}}, &transport.Config{
		HostKey: transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil }),
	})
	err := c.Handshake(t.Context())
	if err == nil {
		t.Fatal("a recording has taken part in a key exchange")
	}
	requireEnded(t, c, err)
	return err
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{
		"SSH-2.0-x\r\n", "SSH-2.0-x y\n", "SSH-1.99-x\n", "SSH-2.0-\r\n", "hello\r\nSSH-2.0-x\r\n",
		"SSH-2.0-\x00\n", strings.Repeat("x\n", 1025), strings.Repeat("x", 9000), "", "SSH-", "\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if err := hear(t, said); len(err.Error()) > 4000 {
			t.Fatalf("the error has %d bytes", len(err.Error()))
		}
	})
}

// FuzzHandshake drives the key exchange. The packets are cut out of the bytes, so the
// fuzzer need not get lengths and padding right.
func FuzzHandshake(f *testing.F) {
	init := kexInit(curve)
	reply := ssh.Marshal(&wire.KexECDHReplyMsg{
		HostKey: hostKey().PublicKey().Marshal(), Public: bytes.Repeat([]byte{9}, 32), Signature: signature("ssh-ed25519", make([]byte, 64)),
	})
	f.Add(chunks(init, reply, []byte{21}))
	f.Add(chunks(ignore, init, debug, reply))
	f.Add(chunks(init, init))
	for _, kex := range []string{"mlkem768x25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", "diffie-hellman-group-exchange-sha256"} {
		other := kexInit(kex)
		f.Add(chunks(other, reply))
		f.Add(chunks(other, ssh.Marshal(&gexGroup{group14(), group14()})))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		p := new(wire.Peer)
		stream := []byte("SSH-2.0-fuzz\r\n")
		for _, payload := range cut(said) {
			stream = append(stream, p.Seal(payload)...)
		}
		hear(t, stream)
	})
}

// FuzzMessages gives packets to a connected client.
func FuzzMessages(f *testing.F) {
	f.Add(chunks(extInfo("server-sig-algs", "ssh-ed25519"), text(6, "ssh-userauth"), []byte{52}))
	f.Add(chunks(ignore, debug, ping, []byte{200}, []byte{3, 0, 0, 0, 1}, []byte{80}))
	f.Add(chunks(kexInit(curve), []byte{31}))
	f.Add(chunks(append([]byte{1, 0, 0, 0, 2}, text(0, "bye")[1:]...)))
	f.Add(chunks(extInfo("a", "b"), extInfo("a", "c"), []byte{52}, []byte{21}))
	f.Fuzz(func(t *testing.T, said []byte) {
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) { p.Send(each(cut(said))...) })
		if len(said)%2 == 1 {
			_ = c.RequestService("ssh-userauth")
		}
		for {
			p, err := c.ReadPacket()
			if err != nil {
				requireEnded(t, c, err)
				return
			}
			if len(p) == 0 || p[0] < 50 || p[0] > 127 {
				t.Fatalf("packet % x came through", p)
			}
		}
	})
}

// chunks joins packets, each behind its length in two bytes; cut takes any bytes apart
// again.
func chunks(packets ...[]byte) (b []byte) {
	for _, p := range packets {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(p))), p...)
	}
	return b
}

func cut(b []byte) (packets [][]byte) {
	for len(b) > 2 {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-2, 30000)
		if n > 0 {
			packets = append(packets, b[2:2+n])
		}
		b = b[2+n:]
	}
	return packets
}
