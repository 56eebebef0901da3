package transport_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

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
	require.NoError(t, c.Flush())
	require.NoError(t, c.WritePacket([]byte{50}), "a mistake of the caller ends nothing")
}

// P11: no decoder takes a message cut short, or longer than its contents.
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
	whole := ssh.Marshal(&wire.KexECDHReplyMsg{
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
