package packetio_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// sealings are all ways to protect packets, the clear among them.
func sealings() (list [][2]string) {
	list = append(list, [2]string{})
	for _, cipher := range packetio.Ciphers {
		if !strings.HasSuffix(cipher, "-ctr") {
			list = append(list, [2]string{cipher, ""})
			continue
		}
		for _, mac := range packetio.MACs {
			list = append(list, [2]string{cipher, mac})
		}
	}
	return list
}

// FuzzSealedPacket gives every cipher a packet sealed with the right keys, of any length
// and any body, perhaps changed on its way, between two honest packets.
func FuzzSealedPacket(f *testing.F) {
	good := append([]byte{11, 80, 81, 82, 83}, make([]byte, 11)...)
	for n, s := range sealings() {
		f.Add(byte(n), uint32(16), good, uint16(0))
		f.Add(byte(n), uint32(16), good, uint16(20))
		f.Add(byte(n), uint32(12), append([]byte{6, 80, 1, 2, 3, 4}, make([]byte, 6)...), uint16(0))
		f.Add(byte(n), uint32(0xffffffff), good, uint16(0))
		f.Add(byte(n), uint32(16), append([]byte{255}, good[1:]...), uint16(0))
		f.Add(byte(n), uint32(0), []byte(s[0]), uint16(1))
	}
	all := sealings()
	f.Fuzz(func(t *testing.T, n byte, length uint32, body []byte, flip uint16) {
		s := all[int(n)%len(all)]
		if len(body) < 16 {
			body = append(body, make([]byte, 16-len(body))...) // the ciphers take whole packets only
		}
		w := sealer(s[0], s[1])
		stream := bytes.Clone(w.Seal([]byte("before")))
		frame := w.SealFrame(length, body)
		changed := flip > 0 && int(flip) <= len(frame)
		if changed {
			frame[flip-1] ^= 0x40
		}
		stream = append(append(stream, frame...), w.Seal([]byte("behind"))...)
		got, err := open(s[0], s[1], stream)
		require.NotEmpty(t, got)
		require.Equal(t, "before", string(got[0]))
		whole := uint64(length) == uint64(len(body)) && int(body[0])+2 <= len(body) && body[0] >= 4
		switch {
		case s[0] == "": // nothing is authenticated
		case changed:
			require.Len(t, got, 1, "a packet was taken that was changed")
		case len(got) > 1:
			require.True(t, whole)
			require.Equal(t, string(body[1:len(body)-int(body[0])]), string(got[1]))
		}
		var protocol *packetio.Error
		require.True(t, errors.As(err, &protocol) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
	})
}

// FuzzPackets reads packets in clear.
func FuzzPackets(f *testing.F) {
	p := sealer("", "")
	f.Add(bytes.Clone(p.Seal([]byte{80})))
	f.Add(append(bytes.Clone(p.Seal([]byte{2, 0, 0, 0, 0})), p.Seal(make([]byte, 1000))...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 12, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		payloads, _ := open("", "", stream)
		total := 0
		for _, p := range payloads {
			if len(p) == 0 {
				t.Fatal("empty payload")
			}
			total += len(p)
		}
		if total > len(stream) {
			t.Fatal("more came out than went in")
		}
	})
}
