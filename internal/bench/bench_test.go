package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

// The program runs itself, which under test is the test.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == taskArg {
		os.Exit(runTask(os.Args[2]))
	}
	sshtest.Main(m)
}

// newBench is a bench that measures what matches, as little as possible.
func newBench(t *testing.T, only string) *bench {
	t.Helper()
	b := &bench{
		n: 1, size: 100_000, idle: []int{2}, connects: 1, commands: 3, ciphers: suites[:1],
		link: sshtest.Link{RTT: 20 * time.Millisecond, Rate: 10_000_000}, linkTime: 10 * time.Millisecond,
		only: regexp.MustCompile(only), harness: new(harness),
	}
	t.Cleanup(b.harness.close)
	return b
}

var someResults = results{
	{"roundtrips/warm", clientNacre, 2, "rtt"},
	{"roundtrips/warm", clientXCrypto, 8, "rtt"},
	{"roundtrips/warm", clientOpenSSH, 8, "rtt"},
	{"cpu/aes128-gcm/down", clientNacre, 0.6, "s/GB"},
	{"cpu/aes128-gcm/down", clientXCrypto, 1, "s/GB"},
	{"download/100ms", clientNacre, 120.5, "MB/s"},
	{"upload/100ms/window", clientNacre, 96, "%"},
	{"memory/idle/1000", clientXCrypto, 51234, "B"},
}

var someMachine = machine{CPU: "A <CPU>", Cores: 2, System: "Linux", Go: "go1.26", OpenSSH: "OpenSSH_9.2p1",
	Date: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}

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

func TestSVG(t *testing.T) {
	picture := someResults.svg(someMachine)
	for decoder := xml.NewDecoder(bytes.NewReader(picture)); ; {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err, "it is well-formed")
	}
	for _, want := range []string{"x/crypto/ssh", "server known", "aes128-gcm ↓", ">120.5<", ">51.23<", "2026-01-02", "A &lt;CPU&gt;"} {
		require.Contains(t, string(picture), want)
	}
	for _, dont := range []string{"first contact", "chacha20", "window"} {
		require.NotContains(t, string(picture), dont, "it was not measured")
	}
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

// What is promised must be measured under that name.
func TestBarsHaveResults(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of a second, for each process
	b := newBench(t, "")
	b.ciphers = []suite{suites[0], suites[2]}
	require.NoError(t, b.measure(t.Context()))
	for name := range b.bars() {
		require.Contains(t, b.results.names(), name)
	}
	for _, x := range b.results {
		if strings.HasPrefix(x.Name, "roundtrips/") {
			require.Positive(t, x.Value, x.Name)
		}
	}
	failures, ok := b.results.get("commands/3/failures", clientNacre)
	require.True(t, ok)
	require.Zero(t, failures.Value)
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

func TestHarnessMakesErrors(t *testing.T) {
	h := new(harness)
	var undone []int
	h.Cleanup(func() { undone = append(undone, 1) })
	h.Cleanup(func() { undone = append(undone, 2) })
	dir := h.TempDir()
	err := func() (err error) {
		defer h.recover(&err)
		h.Fatalf("no %s", "sshd")
		return nil
	}()
	require.EqualError(t, err, "no sshd")
	h.close()
	require.Equal(t, []int{2, 1}, undone)
	require.NoDirExists(t, dir)
}
