package kex_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

type curveInit struct {
	Public []byte `sshtype:"30"`
}

var curves = map[string]ecdh.Curve{
	"curve25519-sha256": ecdh.X25519(), "curve25519-sha256@libssh.org": ecdh.X25519(),
	"ecdh-sha2-nistp256": ecdh.P256(), "ecdh-sha2-nistp384": ecdh.P384(), "ecdh-sha2-nistp521": ecdh.P521(),
}

func TestECDH(t *testing.T) {
	for name, curve := range curves {
		m := kex.New(name)
		packet, err := m.Begin()
		require.NoError(t, err)
		var init curveInit
		require.NoError(t, ssh.Unmarshal(packet, &init))
		client, err := curve.NewPublicKey(init.Public)
		require.NoError(t, err)
		server, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		secret, err := server.ECDH(client)
		require.NoError(t, err)

		public := server.PublicKey().Bytes()
		packet, result, err := m.Next(ssh.Marshal(&kexReplyMsg{[]byte("key"), public, []byte("signature")}))
		require.NoError(t, err)
		require.Nil(t, packet)
		require.Equal(t, &kex.Result{
			HostKey: []byte("key"), Signature: []byte("signature"), Secret: kex.AppendInt(nil, secret),
			Values: ssh.Marshal(struct{ Client, Server []byte }{init.Public, public}),
		}, result)
	}
}

// K9 and K10: bytes without a point on the curve.
func TestPointOffTheCurve(t *testing.T) {
	for name, curve := range curves {
		key, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		good := key.PublicKey().Bytes()
		for _, bad := range [][]byte{nil, {0}, make([]byte, len(good)), good[1:], append(bytes.Clone(good), 0)} {
			_, err := run(name, [][]byte{ssh.Marshal(&kexReplyMsg{Public: bad})})
			require.ErrorContains(t, err, "key exchange value is not valid", name)
		}
	}
}
