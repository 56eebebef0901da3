package sshtest_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestCloseEndsWhatStillRuns(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		startCat(t, session)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())

		var missing *ssh.ExitMissingError
		require.ErrorAs(t, session.Wait(), &missing)
	})
}

func TestClosedServerRefuses(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: inMemory})
		s.Close()
		_, err := s.DialContext(t.Context(), "tcp", s.Addr)
		require.Error(t, err)

		client, server := sshtest.Pipe()
		s.ServeConn(server)
		_, err = client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	}
}

func TestServerWithoutHostKeyOfItsOwn(t *testing.T) {
	var keys []ssh.Signer
	for _, keyType := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		keys = append(keys, sshtest.NewSigner(t, keyType))
	}
	s := sshtest.NewServer(t, &sshtest.Options{HostKeys: keys})
	require.Len(t, s.HostKeys, 2)
	for i, algorithm := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA256} {
		var shown ssh.PublicKey
		login(t, s, func(c *ssh.ClientConfig) {
			c.HostKeyAlgorithms = []string{algorithm}
			c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
				shown = key
				return nil
			}
		})
		require.Equal(t, s.HostKeys[i].Marshal(), shown.Marshal())
	}
	require.Equal(t, s.HostKeys[0], s.HostKey)
}

func TestAlgorithmsAreAsAsked(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{
		Version: "SSH-2.0-other",
		Config:  ssh.Config{Ciphers: []string{ssh.CipherAES128CTR}, RekeyThreshold: 1000},
	})
	client := login(t, s, nil)
	require.Equal(t, "SSH-2.0-other", string(client.ServerVersion()))
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("head -c 100000 /dev/zero")
	require.NoError(t, err)
	require.Len(t, out, 100_000)
	_, err = dial(t, s, func(c *ssh.ClientConfig) { c.Ciphers = []string{ssh.CipherAES256GCM} })
	require.ErrorContains(t, err, "no common algorithm")
}

// A day of a quiet connection is over at once, and its end is not lost.
func TestServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.NewServer(t, &sshtest.Options{InMemory: true})
		client := login(t, s, nil)
		session, err := client.NewSession()
		require.NoError(t, err)
		start := time.Now()
		out, err := session.Output("sleep 86400")
		require.NoError(t, err)
		require.Empty(t, out)
		require.Equal(t, 24*time.Hour, time.Since(start))
		client.Close()
	})
}

func TestFailedTestShowsTheLog(t *testing.T) {
	r := record(t, func(tb testing.TB) {
		s := sshtest.NewServer(tb, nil)
		if c, err := s.DialContext(t.Context(), "tcp", s.Addr); err == nil {
			c.Read(make([]byte, 1)) // wait until the server has accepted
			defer c.Close()
		}
		tb.Fatalf("no luck\n")
	})
	require.Contains(t, r.log, "no luck\nlog of the SSH server at 127.0.0.1:")
}
