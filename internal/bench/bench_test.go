package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each promise is measured by a test below.
func TestBarsHaveResults(t *testing.T) {
	for name := range newBench(t, "").bars() {
		kind, _, _ := strings.Cut(name, "/")
		require.Contains(t, []string{"roundtrips", "download", "upload", "cpu", "allocs", "memory", "goroutines", "commands"}, kind)
	}
}

func TestReport(t *testing.T) {
	b := newBench(t, "")
	b.results, b.json, b.svg = someResults, true, filepath.Join(t.TempDir(), "bench.svg")
	var out bytes.Buffer
	require.NoError(t, b.report(t.Context(), &out))
	var first result
	require.NoError(t, json.NewDecoder(&out).Decode(&first))
	require.Equal(t, someResults[0], first)
	require.FileExists(t, b.svg)
}
