package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

// newBench is a bench with minimal amounts, and with names that match only.
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

var someMachine = machine{
	CPU: "A <CPU>", Cores: 2, System: "Linux", Go: "go1.26", OpenSSH: "OpenSSH_9.2p1",
	Date: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
}

// requireResults checks for a result of every bar of these kinds.
func requireResults(t *testing.T, b *bench, kinds ...string) {
	t.Helper()
	for name := range b.bars() {
		if kind, _, _ := strings.Cut(name, "/"); slices.Contains(kinds, kind) {
			require.Contains(t, b.results.names(), name)
		}
	}
}
