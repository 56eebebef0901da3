package sshtest_test

import (
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
