package identity_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// refusing is a userauth.Transport whose server refuses every request.
type refusing struct{}

func (refusing) RequestService(string) error { return nil }

func (refusing) WritePacket([]byte) error { return nil }

func (refusing) SessionID() []byte { return []byte("session") }

func (refusing) Extension(string) ([]byte, bool) { return nil, false }

func (refusing) Close() error { return nil }

func (refusing) ReadPacket() ([]byte, error) {
	return ssh.Marshal(wire.UserauthFailureMsg{Methods: []string{"publickey"}}), nil
}

// said is a connection to an agent with a fixed script.
type said struct {
	net.Conn
	io.Reader
}

func (s said) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func FuzzAgent(f *testing.F) {
	key := sshtest.NewSigner(f, ssh.KeyAlgoED25519).PublicKey().Marshal()
	list := reply(append([]byte{12, 0, 0, 0, 1}, ssh.Marshal(struct{ Blob, Comment []byte }{key, []byte("c")})...))
	f.Add(list)
	f.Add(append(list, reply(ssh.Marshal(struct {
		Blob []byte `sshtype:"14"`
	}{ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, 64)})}))...))
	f.Add(append(list, reply([]byte{5})...))
	f.Add([]byte{0, 0, 0, 1, 5})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // ends when the login closes ours
		err := userauth.Authenticate(t.Context(), refusing{}, &userauth.Config{User: "bob", Methods: []userauth.Method{
			identity.Method(&identity.Config{Agent: func(context.Context) (net.Conn, error) {
				return said{ours, bytes.NewReader(data)}, nil
			}}),
		}})
		require.ErrorAs(t, err, new(*userauth.Error))
	})
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	for i, args := range [][]string{nil, {"-t", "ecdsa", "-m", "PEM"}, {"-t", "ecdsa", "-m", "PKCS8"}} {
		f.Add(read(f, keygen(f, dir, string(rune('a'+i)), "", args...)))
		f.Add(read(f, keygen(f, dir, string(rune('A'+i)), "secret", args...)))
	}
	for _, args := range [][]string{{"version=2"}, {"version=3,memory=64,passes=1"}} {
		f.Add(read(f, puttygen(f, dir, args[0], "", "ed25519", args[0])))
		f.Add(read(f, puttygen(f, dir, "locked "+args[0], "secret", "ecdsa", args[0])))
	}
	f.Add(read(f, keygen(f, dir, "p", "")+".pub"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, _ := options("secret", "wrong")
		key, err := identity.Parse(t.Context(), "key", data, o)
		if err != nil {
			require.ErrorContains(t, err, "identity: key: ")
			return
		}
		if _, err := key.Sign(nil, []byte("data")); err != nil {
			require.ErrorContains(t, err, "identity: key: ")
		}
	})
}
