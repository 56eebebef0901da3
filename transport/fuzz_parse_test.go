package transport_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// sealings are all ways to protect packets, the clear among them.
func sealings() (list [][2]string) {
	list = append(list, [2]string{})
	for _, cipher := range transport.Ciphers {
		if !strings.HasSuffix(cipher, "-ctr") {
			list = append(list, [2]string{cipher, ""})
			continue
		}
		for _, mac := range transport.MACs {
			list = append(list, [2]string{cipher, mac})
		}
	}
	return list
}

// FuzzSealedPacket gives every cipher a packet that is sealed with the right
// keys and has any length and any body, which may have been changed on its way,
// between two that are as they should be.
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
		case s[0] == "": // what is not sealed is taken as it is
		case changed:
			require.Len(t, got, 1, "a packet was taken that was changed")
		case len(got) > 1:
			require.True(t, whole)
			require.Equal(t, string(body[1:len(body)-int(body[0])]), string(got[1]))
		}
		var protocol *transport.ProtocolError
		require.True(t, errors.As(err, &protocol) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
	})
}

// FuzzKex gives every method any answers. None panics, and none that is accepted
// is another message than a reply.
func FuzzKex(f *testing.F) {
	point := ssh.Marshal(&kexReplyMsg{[]byte("key"), bytes.Repeat([]byte{9}, 32), []byte("signature")})
	p14, g14 := transport.Group("group14")
	for n, name := range transport.KeyExchanges {
		f.Add(byte(n), chunks(point))
		f.Add(byte(n), chunks(append([]byte{31}, ssh.Marshal(struct{ P, G []byte }{p14.Bytes(), g14.Bytes()})...), []byte{33, 0}))
		f.Add(byte(n), chunks([]byte(name), nil, []byte{31}))
		f.Add(byte(n), chunks(append([]byte{31, 0, 0, 0, 0}, ssh.Marshal(struct{ F, S []byte }{[]byte{5}, nil})...)))
	}
	f.Fuzz(func(t *testing.T, n byte, replies []byte) {
		name := transport.KeyExchanges[int(n)%len(transport.KeyExchanges)]
		last, err := transport.RunKex(name, cut(replies))
		if last != nil {
			require.Contains(t, []byte{31, 33}, last[0])
		}
		if err != nil {
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			require.LessOrEqual(t, len(err.Error()), 1000)
		}
	})
}

// kexReplyMsg is the reply of every method that exchanges two octet strings.
type kexReplyMsg struct {
	HostKey   []byte `sshtype:"31"`
	Public    []byte
	Signature []byte
}

// fixedSigners returns the same keys in every process, as fuzzing needs them.
func fixedSigners(f *testing.F) (signers []ssh.Signer) {
	keys := []any{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.ParseRawPrivateKey(curve, append(make([]byte, (curve.Params().BitSize+7)/8-1), 7))
		require.NoError(f, err)
		keys = append(keys, key)
	}
	for _, key := range keys {
		signer, err := ssh.NewSignerFromKey(key)
		require.NoError(f, err)
		signers = append(signers, signer)
	}
	return signers
}

// FuzzHostKey shows any key and any signature. None is believed but those that
// were made here, by the holders of the keys.
func FuzzHostKey(f *testing.F) {
	holders := make(map[string]bool)
	other := sshtest.NewSigner(f, ssh.KeyAlgoRSA).PublicKey().Marshal()
	for n, algorithm := range transport.HostKeyAlgorithms {
		for _, signer := range fixedSigners(f) {
			blob := signer.PublicKey().Marshal()
			signature, err := signer.Sign(rand.Reader, transport.ToProve(algorithm, blob))
			require.NoError(f, err)
			f.Add(byte(n), blob, ssh.Marshal(signature))
			f.Add(byte(n), blob, append(ssh.Marshal(signature), 0))
			f.Add(byte(n), other, ssh.Marshal(signature))
			holders[string(blob)] = true
		}
	}
	near, _ := sshtest.Pipe()
	f.Fuzz(func(t *testing.T, n byte, key, signature []byte) {
		algorithm := transport.HostKeyAlgorithms[int(n)%len(transport.HostKeyAlgorithms)]
		err := transport.Proven(algorithm, key, signature, near)
		if err == nil {
			require.True(t, holders[string(key)], "a key was proven that nobody holds")
			return
		}
		require.ErrorAs(t, err, new(*transport.HostKeyError))
		require.LessOrEqual(t, len(err.Error()), 2000)
	})
}
