package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	b := newBench(t, "")
	var out strings.Builder
	require.NoError(t, someResults.writeTable(&out, someMachine, b.bars()))
	for line, want := range map[int]string{
		0: "unit nacre xcrypto openssh / xcrypto / openssh bar",
		1: "roundtrips/warm rtt 2 8 8 0.25 0.25 ≤ 2 met",
		2: "cpu/aes128-gcm/down s/GB 0.60 1 – 0.60 – ≤ 0.50 of xcrypto, ≤ 0.90 of openssh NOT MET",
		3: "download/100ms MB/s 120.5 – – – –",
		5: "memory/idle/1000 B – 51234 – – –",
		7: "A <CPU>, 2 cores · Linux · go1.26 · OpenSSH_9.2p1 · 2026-01-02",
	} {
		require.Equal(t, want, strings.Join(strings.Fields(strings.Split(out.String(), "\n")[line]), " "))
	}
}

func TestVerdict(t *testing.T) {
	r := results{{"x", clientNacre, 5, ""}, {"x", clientXCrypto, 10, ""}}
	for name, test := range map[string]struct {
		bar  bar
		want []string
	}{
		"no bar":                  {bar{}, []string{"", ""}},
		"few enough":              {bar{most: 5}, []string{"≤ 5", "met"}},
		"too many":                {bar{most: 4.9}, []string{"≤ 4.90", "NOT MET"}},
		"none were allowed":       {bar{none: true}, []string{"0", "NOT MET"}},
		"enough":                  {bar{least: 5}, []string{"≥ 5", "met"}},
		"too little":              {bar{least: 6}, []string{"≥ 6", "NOT MET"}},
		"half":                    {bar{xcrypto: 0.5}, []string{"≤ 0.50 of xcrypto", "met"}},
		"more than a third":       {bar{xcrypto: 0.3}, []string{"≤ 0.30 of xcrypto", "NOT MET"}},
		"only one of two":         {bar{xcrypto: 0.3, most: 5}, []string{"≤ 5, ≤ 0.30 of xcrypto", "NOT MET"}},
		"a peer is not known":     {bar{openssh: 1}, []string{"≤ 1 of openssh", "not known"}},
		"one that is, is not met": {bar{xcrypto: 0.3, openssh: 1}, []string{"≤ 0.30 of xcrypto, ≤ 1 of openssh", "NOT MET"}},
	} {
		require.Equal(t, test.want, test.bar.verdict(r, "x"), name)
	}
}

func TestJSON(t *testing.T) {
	var out strings.Builder
	require.NoError(t, someResults[:2].writeJSON(&out))
	require.Equal(t, `{"name":"roundtrips/warm","client":"nacre","value":2,"unit":"rtt"}
{"name":"roundtrips/warm","client":"xcrypto","value":8,"unit":"rtt"}
`, out.String())
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{9, 1, 2}))
	require.Equal(t, 2.5, median([]float64{9, 1, 2, 3}))
	require.Equal(t, 7.0, median([]float64{7}))
}

func TestNumber(t *testing.T) {
	for want, x := range map[string]float64{"0": 0, "3": 3, "0.62": 0.625, "0.0047": 0.0047, "120.5": 120.49, "51234": 51233.6} {
		require.Equal(t, want, number(x, true))
	}
	require.Equal(t, "–", number(1, false))
}
