package sshtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestConnectionsCanBeCut(t *testing.T) {
	everyServer(t, func(t *testing.T, s *sshtest.Server) {
		session := newSession(t, s)
		require.NoError(t, session.Start("sleep infinity"))
		s.CloseClientConnections()
		var missing *ssh.ExitMissingError
		require.ErrorAs(t, session.Wait(), &missing)
		require.NoError(t, newSession(t, s).Run("true"), "the server still serves")
	})
}

func TestUnknownChannelsAreRefusedAndTheEndIsInTheLog(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	client := login(t, s, nil)
	_, _, err := client.OpenChannel("x@example.com", nil)
	var refused *ssh.OpenChannelError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, ssh.UnknownChannelType, refused.Reason)
	require.NoError(t, client.Close())
	require.NoError(t, s.Close())
	require.Contains(t, s.Log(), "connection: ")
}
