package transport_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// protections calls f for every cipher, with every MAC that the cipher needs.
func protections(t *testing.T, f func(t *testing.T, cipher, mac string)) {
	for _, cipher := range transport.Ciphers {
		macs := transport.MACs
		if !strings.HasSuffix(cipher, "-ctr") {
			macs = []string{""}
		}
		for _, mac := range macs {
			t.Run(cipher+" "+mac, func(t *testing.T) { f(t, cipher, mac) })
		}
	}
}

// largestPayload is the largest payload in a packet_length of 35,000 under the padding
// rules of a cipher: RFC 4253 section 6, and OpenSSH PROTOCOL sections 1.5 to 1.7 where
// the length does not count.
func largestPayload(cipher, mac string) int {
	block, counted := 16, 0
	switch {
	case strings.HasPrefix(cipher, "chacha20"):
		block = 8
	case strings.HasSuffix(cipher, "-ctr") && !strings.Contains(mac, "-etm"):
		counted = 4
	}
	return 35000 - (35000+counted)%block - 1 - 4
}

// Packets of every size from 1 to the bound go both ways between us and x/crypto's
// server. Sizes up to 600 and around the bound are tried under every cipher and MAC, the
// other sizes under a single cipher each; the race detector sees every fifth of those.
func TestPacketsOfEverySizeWithAnotherImplementation(t *testing.T) {
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	data := make([]byte, 35000)
	rand.Read(data)
	seen := make([]bool, len(data))
	turn := 0
	protections(t, func(t *testing.T, cipher, mac string) {
		config := &ssh.ServerConfig{Config: ssh.Config{Ciphers: []string{cipher}, MACs: transport.MACs}}
		if mac != "" {
			config.MACs = []string{mac}
		}
		config.AddHostKey(key)
		c := connect(t, config, transport.Config{HostKey: transport.FixedHostKey(key.PublicKey())})

		// Requests are longer than their data. Unsolicited replies, dropped by
		// x/crypto, have the smaller sizes.
		for n := 1; n < 16; n++ {
			require.NoError(t, c.WritePacket(append([]byte{82}, data[:n-1]...)))
		}
		largest := largestPayload(cipher, mac)
		var sizes []int // of the payloads coming back
		for n := 1; n <= largest; n++ {
			if n <= 600 || n > largest-64 || n%15 == turn && n%sizesPerSize == 0 {
				sizes, seen[n] = append(sizes, n), true
			}
		}
		turn++
		sent := make(chan error, 1)
		go func() {
			for _, n := range sizes {
				if err := c.WritePacket(ssh.Marshal(&wire.GlobalRequestMsg{WantReply: true, Payload: data[:n-1]})); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for _, n := range sizes {
			p, err := c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, byte(81), p[0])
			require.True(t, string(data[:n-1]) == string(p[1:]), "%d bytes came back changed", n)
		}
		require.NoError(t, <-sent)

		require.NoError(t, c.WritePacket(ssh.Marshal(&wire.GlobalRequestMsg{WantReply: true, Payload: data[:largest]})))
		_, err := c.ReadPacket()
		require.ErrorAs(t, err, new(*transport.ProtocolError), "one byte more than the bound")
		require.ErrorContains(t, err, "packet_length")
	})
	for n := 1; n <= largestPayload("aes128-ctr", "hmac-sha2-256"); n++ {
		require.True(t, seen[n] || n%sizesPerSize > 0, "no packet of %d bytes", n)
	}
}
