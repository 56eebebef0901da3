package sshtest_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

func linger(begun, until chan struct{}) {
	close(begun)
	<-until
}

func TestStraysAreFoundUntilTheyEnd(t *testing.T) {
	begun, until := make(chan struct{}), make(chan struct{})
	go linger(begun, until)
	<-begun
	stacks := sshtest.Strays(0)
	require.Len(t, stacks, 1)
	require.Contains(t, stacks[0], "sshtest_test.linger")

	close(until)
	require.Empty(t, sshtest.Strays(5*time.Second))
}

func TestFilesLeftOpenAreFoundUntilTheyAreClosed(t *testing.T) {
	before := sshtest.Descriptors()
	if len(before) == 0 {
		return // no /proc
	}
	file, err := os.Create(t.TempDir() + "/left")
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	left := sshtest.LeftOpen(before, 0)
	require.Len(t, left, 2)
	require.Contains(t, left[0]+left[1], file.Name())

	require.NoError(t, file.Close())
	require.NoError(t, l.Close())
	require.Empty(t, sshtest.LeftOpen(before, 5*time.Second))
}
