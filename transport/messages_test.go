package transport_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

func text(number byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{number}, uint32(len(s))), s...)
}

// after gives the client packets after the handshake, and returns what it
// reads: the messages for the layers above, and the error if there is one. A
// last message 127 ends a conversation that went well.
func after(t *testing.T, begin func(c *transport.Conn), packets ...[]byte) (c *transport.Conn, got [][]byte, err error) {
	t.Helper()
	c = connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		if begin != nil {
			p.Receive()
		}
		p.Send(each(packets)...)
		p.Send([]byte{127})
		p.Drain()
	})
	if begin != nil {
		begin(c)
	}
	for {
		p, err := c.ReadPacket()
		if err != nil {
			requireEnded(t, c, err)
			return c, got, err
		}
		if p[0] == 127 {
			return c, got, nil
		}
		got = append(got, bytes.Clone(p))
	}
}

func TestMessageNumberIsTheLayer(t *testing.T) {
	var packets [][]byte
	for n := 50; n < 127; n++ {
		packets = append(packets, []byte{byte(n), 1, 2})
	}
	_, got, err := after(t, nil, packets...)
	require.NoError(t, err)
	require.Equal(t, packets, got)
	c, _, _ := after(t, nil)
	for n := range 50 {
		require.ErrorContains(t, c.WritePacket([]byte{byte(n)}), "belongs to the transport")
	}
	require.Error(t, c.WritePacket(nil))
	require.Error(t, c.WritePacket(make([]byte, 256*1024+1)))
	require.NoError(t, c.WritePackets())
	require.NoError(t, c.WritePacket([]byte{50}), "a mistake of the caller ends nothing")
}

// P8: what we do not know is answered with its sequence number, also after it
// has started anew.
func TestUnknownMessageIsAnswered(t *testing.T) {
	for _, lax := range []bool{false, true} {
		checked := make(chan bool, 1)
		c := connected(t, transport.Config{}, func(p *sshtest.Peer) { p.Lax = lax }, func(p *sshtest.Peer) {
			answered := func(number byte) {
				seq := p.Sent
				p.Send([]byte{number, 1, 2})
				if m := sshtest.Expect[sshtest.UnimplementedMsg](p); m.Sequence != seq {
					p.Fatalf("UNIMPLEMENTED %d of %d, not %d", m.Sequence, number, seq)
				}
			}
			for _, number := range []byte{0, 5, 8, 19, 128, 191, 194, 255} {
				answered(number)
				p.Send(ignore)
				answered(number)
			}
			p.Exchange()
			answered(255)
			answered(101) // by the layer above, see below
			checked <- true
			p.Send([]byte{127})
			p.Drain()
		})
		got, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, byte(101), got[0])
		require.NoError(t, c.Unimplemented())
		_, err = c.ReadPacket()
		require.NoError(t, err)
		require.True(t, <-checked)
		require.NoError(t, c.Close())
	}
}

// OpenSSH PROTOCOL section 1.8.
func TestPingIsAnswered(t *testing.T) {
	big := strings.Repeat("p", 30000)
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		p.Send(text(192, "too early"), []byte{52}) // K23: no answer before authentication
		for _, data := range []string{"", "x", big} {
			p.Send(text(192, data), text(193, "a PONG that nobody wants"))
			if m := sshtest.Expect[sshtest.PongMsg](p); string(m.Data) != data {
				p.Fatalf("PONG %d bytes, not %d", len(m.Data), len(data))
			}
		}
		p.Send([]byte{127})
		p.Drain()
	})
	for range 2 {
		_, err := c.ReadPacket()
		require.NoError(t, err)
	}
}

// P8, P9 and P16: floods cost nothing, and answers that the peer does not read
// are bounded, after which we read no more and Close still works.
func TestFloods(t *testing.T) {
	t.Run("P9 ignored", func(t *testing.T) {
		before := heap()
		for _, message := range [][]byte{ignore, debug} {
			_, got, err := after(t, nil, append([][]byte{{52}}, slices.Repeat([][]byte{message}, 100000)...)...)
			require.NoError(t, err)
			require.Equal(t, [][]byte{{52}}, got)
		}
		require.Less(t, heap()-before, int64(16<<20))
	})
	for name, message := range map[string][]byte{
		"P8 unknown":     {200},
		"P16 ping":       text(192, strings.Repeat("p", 1000)),
		"P16 large ping": text(192, strings.Repeat("p", 34000)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := make(chan int, 1)
				c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
					n := 0
					defer func() { sent <- n }()
					p.Send([]byte{52})
					for ; n < 1e6; n++ {
						p.Send(message)
					}
				})
				_, err := c.ReadPacket()
				require.NoError(t, err)
				before := heap()
				done := make(chan error, 1)
				go func() { _, err := c.ReadPacket(); done <- err }()
				synctest.Wait() // everybody waits for somebody
				require.Empty(t, sent)
				require.Less(t, heap()-before, int64(8<<20))
				require.NoError(t, c.Close())
				require.ErrorIs(t, <-done, net.ErrClosed)
				require.Less(t, <-sent, 1000000)
			})
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// P10
func TestDisconnect(t *testing.T) {
	message := func(reason uint32, s string) []byte {
		return append(append(binary.BigEndian.AppendUint32([]byte{1}, reason), text(0, s)[1:]...), 0, 0, 0, 0)
	}
	states := map[string]func(t *testing.T, p []byte) error{
		"before KEXINIT": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *sshtest.Peer) { peer.Before(20, p) })
		},
		"after KEXINIT": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *sshtest.Peer) { peer.After(20, p) })
		},
		"before the reply": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *sshtest.Peer) { peer.Before(31, p) })
		},
		"before NEWKEYS": func(t *testing.T, p []byte) error {
			return refused(t, transport.Config{}, func(peer *sshtest.Peer) { peer.After(31, p) })
		},
		"connected": func(t *testing.T, p []byte) error { _, _, err := after(t, nil, p); return err },
		"re-exchange": func(t *testing.T, p []byte) error {
			c := connected(t, transport.Config{}, nil, func(peer *sshtest.Peer) {
				peer.Before(31, p)
				peer.Exchange()
			})
			_, err := c.ReadPacket()
			requireEnded(t, c, err)
			return err
		},
	}
	for state, give := range states {
		t.Run(state, func(t *testing.T) {
			for _, reason := range []uint32{0, 2, 15, 1<<32 - 1} {
				for _, words := range []string{"", "bye", "\x1b[2J\xff\xfe", strings.Repeat("é", 15000)} {
					err := give(t, message(reason, words))
					var farewell *transport.DisconnectError
					require.ErrorAs(t, err, &farewell)
					require.Equal(t, reason, farewell.Reason)
					require.True(t, strings.HasPrefix(words, strings.TrimSuffix(farewell.Message, "…")))
					require.LessOrEqual(t, len(farewell.Message), 260)
					require.NotContains(t, err.Error(), "\x1b")
					require.Less(t, len(err.Error()), 1200)
				}
			}
			require.ErrorAs(t, give(t, message(11, "no language")[:5+4+11]), new(*transport.DisconnectError))
			for _, bad := range [][]byte{{1}, {1, 0, 0, 0}, message(1, "x")[:8], {1, 0, 0, 0, 1, 255, 255, 255, 255}} {
				require.ErrorAs(t, give(t, bad), new(*transport.ProtocolError))
			}
		})
	}
}

// We say why we leave, and nothing of our side.
func TestFarewell(t *testing.T) {
	farewell := make(chan []byte, 1)
	last := func(p *sshtest.Peer) { farewell <- p.Receive(1) }
	c := connected(t, transport.Config{}, nil, last)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	require.Equal(t, append(append([]byte{1, 0, 0, 0, 11}, text(0, "disconnected by user")[1:]...), 0, 0, 0, 0), <-farewell)

	c = connected(t, transport.Config{}, nil, func(p *sshtest.Peer) { p.Send([]byte{30}); last(p) })
	_, err := c.ReadPacket()
	require.Error(t, err)
	require.Equal(t, []byte{1, 0, 0, 0, 2}, (<-farewell)[:5])
}

func extInfo(pairs ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{7}, uint32(len(pairs)/2))
	for _, s := range pairs {
		b = append(b, text(0, s)[1:]...)
	}
	return b
}

func TestExtensions(t *testing.T) {
	c, _, err := after(t, nil, extInfo("server-sig-algs", "a,b", "empty", ""))
	require.NoError(t, err)
	value, ok := c.Extension("server-sig-algs")
	require.True(t, ok)
	require.Equal(t, "a,b", string(value))
	clear(value)
	value, _ = c.Extension("server-sig-algs")
	require.Equal(t, "a,b", string(value), "a copy is returned")
	value, ok = c.Extension("empty")
	require.True(t, ok)
	require.Empty(t, value)
	_, ok = c.Extension("absent")
	require.False(t, ok)

	c, got, err := after(t, nil, extInfo("x", "1", "z", "0"), []byte{53}, extInfo("x", "2"), []byte{52}, []byte{80})
	require.NoError(t, err)
	require.Len(t, got, 3)
	value, _ = c.Extension("x")
	require.Equal(t, "2", string(value))
	_, ok = c.Extension("z")
	require.False(t, ok, "the second message replaces the first")

	var full []string
	for i := range 1024 {
		full = append(full, string(rune('a'+i)), "")
	}
	_, _, err = after(t, nil, extInfo(full...))
	require.NoError(t, err)
}

// K25
func TestExtInfoThatIsRefused(t *testing.T) {
	good := extInfo("server-sig-algs", "ssh-ed25519")
	for name, packets := range map[string][][]byte{
		"a million entries":      {{7, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, 0, 0, 0, 0}},
		"2^32-1 entries":         {{7, 255, 255, 255, 255}},
		"1025 entries":           {extInfo(make([]string, 2*1025)...)},
		"fewer entries":          {append(bytes.Clone(good), text(0, "x")[1:]...)},
		"more entries":           {append([]byte{7, 0, 0, 0, 2}, good[5:]...)},
		"same name twice":        {extInfo("x", "1", "x", "2")},
		"NUL in a name":          {extInfo("x\x00", "1")},
		"NUL in server-sig-algs": {extInfo("server-sig-algs", "ssh-ed25519\x00,x")},
		"third":                  {good, good, good},
		"second, not at the end": {good, good, {53}},
		"after the success":      {good, {52}, good},
		"after both":             {good, good, {52}, good},
		"key exchange between":   {good, good, kexInit(curve)},
		"unknown between":        {good, good, {200}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := after(t, nil, packets...)
			require.ErrorAs(t, err, new(*transport.ProtocolError))
		})
	}
}

func TestServiceAccept(t *testing.T) {
	request := func(t *testing.T) func(c *transport.Conn) {
		return func(c *transport.Conn) {
			require.NoError(t, c.RequestService("ssh-userauth"))
			require.ErrorContains(t, c.RequestService("other"), `the request for "ssh-userauth" is not answered yet`)
		}
	}
	for name, accept := range map[string][]byte{"named": text(6, "ssh-userauth"), "without a name": {6}} {
		t.Run(name, func(t *testing.T) {
			c, got, err := after(t, request(t), accept, []byte{51})
			require.NoError(t, err)
			require.Equal(t, [][]byte{{51}}, got)
			require.NoError(t, c.RequestService("next"))
		})
	}
	for name, packets := range map[string][][]byte{
		"another service":       {text(6, "ssh-connection")},
		"twice":                 {text(6, "ssh-userauth"), text(6, "ssh-userauth")},
		"nameless, then named":  {{6}, text(6, "ssh-userauth")},
		"A1 success before":     {{52}, text(6, "ssh-userauth")},
		"A3 channel message":    {{94, 0, 0, 0, 0, 0, 0, 0, 0}},
		"A3 global request":     {{80}},
		"trailing byte":         {append(text(6, "ssh-userauth"), 0)},
		"truncated":             {text(6, "ssh-userauth")[:10]},
		"empty name":            {text(6, "")},
		"length without string": {{6, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := after(t, request(t), packets...)
			require.ErrorAs(t, err, new(*transport.ProtocolError))
		})
	}
	t.Run("unsolicited", func(t *testing.T) {
		for _, p := range [][]byte{{6}, text(6, ""), text(6, "ssh-userauth")} {
			_, _, err := after(t, nil, p)
			require.ErrorContains(t, err, "accepted")
		}
	})
}

// P11: no decoder takes a message that is cut or has something behind it.
func TestTruncatedAndTrailing(t *testing.T) {
	valid := map[string][]byte{
		"EXT_INFO": extInfo("server-sig-algs", "ssh-ed25519", "x", "y"),
		"PING":     text(192, "data"),
		"KEXINIT":  kexInit(curve),
	}
	for name, message := range valid {
		t.Run(name, func(t *testing.T) {
			for n := 1; n < len(message); n++ {
				c, _, err := after(t, nil, message[:n])
				require.ErrorAs(t, err, new(*transport.ProtocolError), "%d bytes", n)
				_, ok := c.Extension("server-sig-algs")
				require.False(t, ok, "an effect in part")
			}
			for n := 1; n <= 64; n++ {
				_, _, err := after(t, nil, append(bytes.Clone(message), make([]byte, n)...))
				require.ErrorAs(t, err, new(*transport.ProtocolError), "%d bytes more", n)
			}
		})
	}
	whole := ssh.Marshal(&sshtest.KexECDHReplyMsg{
		HostKey: hostKey().PublicKey().Marshal(), Public: bytes.Repeat([]byte{9}, 32), Signature: signature("ssh-ed25519", make([]byte, 64)),
	})
	reply := func(change func(b []byte) []byte) error {
		return refused(t, transport.Config{}, answers(curve, func([]byte) []byte { return change(bytes.Clone(whole)) }))
	}
	require.ErrorIs(t, reply(func(b []byte) []byte { return b }), transport.ErrHostKeySignature)
	for n := 1; n < len(whole); n++ {
		require.ErrorAs(t, reply(func(b []byte) []byte { return b[:n] }), new(*transport.ProtocolError), "%d bytes", n)
	}
	for n := 1; n <= 64; n++ {
		require.ErrorAs(t, reply(func(b []byte) []byte { return append(b, make([]byte, n)...) }), new(*transport.ProtocolError))
	}
}
