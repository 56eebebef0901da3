package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConnectionsAreMeasured(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of a second, for each process
	b := newBench(t, "")
	require.NoError(t, b.handshakes(t.Context()))
	require.NoError(t, b.concurrent(t.Context()))
	require.NoError(t, b.idleConnections(t.Context()))
	requireResults(t, b, "memory", "goroutines", "commands")
	failures, ok := b.results.get("commands/3/failures", clientNacre)
	require.True(t, ok)
	require.Zero(t, failures.Value)
}
