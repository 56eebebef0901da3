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
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// refusing is a server behind userauth.Transport that lets nobody in.
type refusing struct{}

func (refusing) RequestService(string) error     { return nil }
func (refusing) WritePacket([]byte) error        { return nil }
func (refusing) SessionID() []byte               { return []byte("session") }
func (refusing) Extension(string) ([]byte, bool) { return nil, false }
func (refusing) Close() error                    { return nil }
func (refusing) ReadPacket() ([]byte, error) {
	return ssh.Marshal(struct {
		Methods []string `sshtype:"51"`
		Partial bool
	}{[]string{"publickey"}, false}), nil
}

// said is a connection to an agent that says what it says, whatever is asked.
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
