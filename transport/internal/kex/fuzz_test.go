package kex_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

// FuzzKex gives every method any two answers: no method takes more. No answer panics,
// and only a reply yields a secret.
func FuzzKex(f *testing.F) {
	point := ssh.Marshal(&kexReplyMsg{[]byte("key"), bytes.Repeat([]byte{9}, 32), []byte("signature")})
	p14, g14 := kex.Group("group14")
	for n, name := range kex.Names {
		f.Add(byte(n), point, []byte{})
		f.Add(byte(n), append([]byte{31}, ssh.Marshal(struct{ P, G []byte }{p14.Bytes(), g14.Bytes()})...), []byte{33, 0})
		f.Add(byte(n), []byte(name), []byte{31})
		f.Add(byte(n), append([]byte{31, 0, 0, 0, 0}, ssh.Marshal(struct{ F, S []byte }{[]byte{5}, nil})...), []byte{})
	}
	f.Fuzz(func(t *testing.T, n byte, first, second []byte) {
		name := kex.Names[int(n)%len(kex.Names)]
		packets := slices.DeleteFunc([][]byte{first, second}, func(p []byte) bool { return len(p) == 0 }) // no packet is empty
		last, err := run(name, packets)
		if last != nil {
			require.Contains(t, []byte{31, 33}, last[0])
		}
		if err != nil {
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

// run gives a server's answers to a run of a method. run returns the answer that yielded
// a secret, nil without any.
func run(name string, replies [][]byte) (last []byte, err error) {
	method := kex.New(name)
	if _, err := method.Begin(); err != nil {
		return nil, err
	}
	for _, reply := range replies {
		_, result, err := method.Next(reply)
		if err != nil {
			return nil, err
		}
		if result != nil {
			return reply, nil
		}
	}
	return nil, nil
}
