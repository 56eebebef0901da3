package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTransfersAreMeasured(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of a second, for each process
	b := newBench(t, "")
	b.ciphers = []suite{suites[0], suites[2]}
	require.NoError(t, b.distance(t.Context()))
	require.NoError(t, b.loopback(t.Context()))
	requireResults(t, b, "download", "upload", "cpu", "allocs")
}
