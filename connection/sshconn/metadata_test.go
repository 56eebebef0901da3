package sshconn_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection/sshconn"
	"github.com/nacre-ssh/nacre/sshtest"
)

func TestMetadata(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	c, tc := stack(t, s)
	b, _, _ := sshconn.New(c, tc, "gopher")
	require.Equal(t, "gopher", b.User())
	require.Equal(t, tc.SessionID(), b.SessionID())
	require.NotEmpty(t, b.SessionID())
	require.Equal(t, tc.State().ClientVersion, string(b.ClientVersion()))
	require.Equal(t, "SSH-2.0-sshtest", string(b.ServerVersion()))
	require.Equal(t, s.Addr, b.RemoteAddr().String())
	require.Equal(t, tc.LocalAddr(), b.LocalAddr())

	require.Implements(t, (*ssh.AlgorithmsConnMetadata)(nil), b)
	algorithms := b.(ssh.AlgorithmsConnMetadata).Algorithms()
	require.Equal(t, tc.State().KeyExchange, algorithms.KeyExchange)
	require.Equal(t, ssh.KeyAlgoED25519, algorithms.HostKey)
	require.Equal(t, tc.State().ServerCipher, algorithms.Read.Cipher)
	require.Equal(t, tc.State().ClientCipher, algorithms.Write.Cipher)
}

func TestMetadataWithoutTransport(t *testing.T) {
	b := newBridge(t)
	require.Equal(t, "gopher", b.User())
	require.Empty(t, b.SessionID())
	require.Empty(t, b.ClientVersion())
	require.Empty(t, b.ServerVersion())
	require.Equal(t, ":0", b.RemoteAddr().String())
	require.Equal(t, ":0", b.LocalAddr().String())
	require.Zero(t, b.Conn.(ssh.AlgorithmsConnMetadata).Algorithms())
}
