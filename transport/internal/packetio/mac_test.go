package packetio_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// RFC 4253 section 6.4: the MAC covers the sequence number and the packet in clear;
// with "-etm", OpenSSH PROTOCOL section 1.5, the packet as it is sent.
func TestMACCoversSequenceNumberAndPacket(t *testing.T) {
	for _, name := range packetio.MACs {
		s := sealer("aes128-ctr", name)
		h := func() hash.Hash { return hmac.New(sha256.New, s.Integrity(32)) }
		if strings.Contains(name, "512") {
			h = func() hash.Hash { return hmac.New(sha512.New, s.Integrity(64)) }
		}
		for seq := range uint32(3) {
			got := bytes.Clone(s.Seal([]byte("payload")))
			n := len(got) - h().Size()
			packet := got[:n]
			if !strings.Contains(name, "-etm") {
				packet = s.Decrypt(seq, packet)
			}
			m := h()
			m.Write(binary.BigEndian.AppendUint32(nil, seq))
			m.Write(packet)
			require.Equal(t, m.Sum(nil), got[n:], name)
		}
	}
}
