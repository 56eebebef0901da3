package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// fakeAgent is a server of the agent's protocol that answers each request by
// answer, and hangs after nil.
func fakeAgent(answer func(request []byte) []byte) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for {
				var length [4]byte
				if _, err := io.ReadFull(theirs, length[:]); err != nil {
					return
				}
				request := make([]byte, int(length[2])<<8|int(length[3]))
				if _, err := io.ReadFull(theirs, request); err != nil {
					return
				}
				reply := answer(request)
				if reply == nil {
					_, _ = io.Copy(io.Discard, theirs)
					return
				}
				if _, err := theirs.Write(reply); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}
}

func reply(message []byte) []byte { return ssh.Marshal(struct{ Message []byte }{message}) }

// A14: malformed and wrong answers of an agent.
func TestLiesOfAgents(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	list := func(n uint32, blobs ...[]byte) []byte {
		msg := ssh.Marshal(struct {
			Count uint32 `sshtype:"12"`
		}{n})
		for _, b := range blobs {
			msg = append(msg, ssh.Marshal(struct{ Blob, Comment []byte }{b, []byte("c\x1b")})...)
		}
		return reply(msg)
	}
	one := list(1, key.PublicKey().Marshal())
	for name, test := range map[string]struct {
		list, sign []byte
		want       string
	}{
		"length of 2^32-1":         {[]byte{0xff, 0xff, 0xff, 0xff, 12}, nil, "message of 4294967295 bytes"},
		"length of 256K + 1":       {[]byte{0, 4, 0, 1}, nil, "message of 262145 bytes"},
		"length of 0":              {make([]byte, 4), nil, "message of 0 bytes"},
		"a million keys":           {list(1e6), nil, "the agent's list of keys"},
		"fewer than said":          {list(2, key.PublicKey().Marshal()), nil, "the agent's list of keys"},
		"success":                  {reply([]byte{6}), nil, "unexpected message type"},
		"failure":                  {reply([]byte{5}), nil, "failed to list keys"},
		"unknown message":          {reply([]byte{99}), nil, "unknown type tag 99"},
		"garbage for a key":        {list(1, ssh.Marshal(struct{ S string }{"\x1b[2J"})), nil, "no safe algorithm"},
		"too many keys":            {list(3000, bytes.Split(bytes.Repeat([]byte("\x00\x00\x00\x01x|"), 3000)[:3000*6-1], []byte("|"))...), nil, "3000 keys, more than 2048"},
		"success for a signature":  {one, reply([]byte{6}), "unexpected message type"},
		"garbage for a signature":  {one, reply([]byte{14, 0, 0, 0, 1, 7}), "the agent did not sign"},
		"hangs up for a signature": {one, []byte{0, 0, 0, 9, 14}, "signer:"},
		"signature of another key": {one, signed(t, other), "wrong signature"},
		"signature of another format": {one, reply(ssh.Marshal(struct {
			B []byte `sshtype:"14"`
		}{ssh.Marshal(ssh.Signature{Format: "ssh-rsa"})})), `signature of type "ssh-rsa"`},
	} {
		t.Run(name, func(t *testing.T) {
			connect := fakeAgent(func(request []byte) []byte {
				switch request[0] {
				case 11:
					return test.list
				case 13:
					return test.sign
				}
				return reply([]byte{5})
			})
			if strings.HasPrefix(name, "hangs up") {
				whole := connect
				connect = func(ctx context.Context) (net.Conn, error) {
					c, err := whole(ctx)
					return &cutting{Conn: c, after: len(one) + 5 + 5}, err
				}
			}
			_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\x1b")
			_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: connect, Keys: []ssh.Signer{s.Signer}}))
			require.NoError(t, err, "the next key is tried")
		})
	}
}

// cutting ends after some bytes were read.
type cutting struct {
	net.Conn
	after int
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.after <= 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.after)])
	c.after -= n
	return n, err
}

// signed is an agent's reply with a signature by a key.
func signed(t *testing.T, key ssh.Signer) []byte {
	signature, err := key.Sign(rand.Reader, []byte("something"))
	require.NoError(t, err)
	return reply(ssh.Marshal(struct {
		Blob []byte `sshtype:"14"`
	}{ssh.Marshal(signature)}))
}

// A14: a hanging agent.
func TestHangingAgentDoesNotHoldTheLogin(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey().Marshal()
	for _, hangs := range []byte{11, 13, 27} {
		reached := make(chan struct{}, 1)
		connect := fakeAgent(func(request []byte) []byte {
			switch {
			case request[0] == hangs:
				reached <- struct{}{}
				return nil
			case request[0] == 11:
				return reply(append([]byte{12, 0, 0, 0, 1}, ssh.Marshal(struct{ Blob, Comment []byte }{key, nil})...))
			}
			return reply([]byte{5})
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-reached
			cancel(errNobody)
		}()
		_, err := login(ctx, s, identity.Method(&identity.Config{Agent: connect}))
		require.ErrorIs(t, err, errNobody)
	}
}

func TestAgentThatDiesBeforeItSignsIsToldFromOneThatRefuses(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	key := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	connect := fakeAgent(func(request []byte) []byte {
		if request[0] != 11 {
			return reply([]byte{5})
		}
		return reply(append([]byte{12, 0, 0, 0, 1}, ssh.Marshal(struct{ Blob, Comment []byte }{key.PublicKey().Marshal(), nil})...))
	})
	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: func(ctx context.Context) (net.Conn, error) {
		c, err := connect(ctx)
		return &dying{Conn: c}, err
	}}))
	require.ErrorContains(t, err, "signer: identity: the agent failed: agent: client error: write: broken pipe")
	require.NotContains(t, err.Error(), "ssh-add", "nothing was refused")
}

// dying is a connection to an agent, and breaks when a signature is due.
type dying struct {
	net.Conn
	dead bool
}

func (d *dying) Write(p []byte) (int, error) {
	if d.dead = d.dead || p[4] == 13; d.dead {
		return 0, os.NewSyscallError("write", syscall.EPIPE)
	}
	return d.Conn.Write(p)
}
