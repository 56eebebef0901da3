package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTripsAreCounted(t *testing.T) {
	b := newBench(t, "")
	require.NoError(t, b.roundTrips(t.Context()))
	requireResults(t, b, "roundtrips")
	for _, x := range b.results {
		require.Positive(t, x.Value, x.Name)
	}
}
