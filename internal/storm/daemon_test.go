package storm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

// A minute against a server that has new keys made every 16 KiB, while we do so
// after every four. The way is what both wait for.
func TestMinuteOfStormAgainstOpenSSH(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "sshd.log")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		Config: []string{"RekeyLimit 16K", "LogLevel DEBUG1", "MaxSessions 20"},
		Args:   []string{"-E", log},
	})
	exchanges := storm(t, s, time.Minute, 2)
	s.Close()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	seen := strings.Count(string(text), "SSH2_MSG_NEWKEYS received")
	require.InDelta(t, exchanges, seen, 1, "the last one may have been under way, on either side")
}

// Dropbear makes new keys when it is asked to. Its 2022.83 closes sessions that
// have not begun their command when that of another one ends, with or without
// new keys, so here all begin and end together.
func TestStormAgainstDropbear(t *testing.T) {
	t.Parallel()
	storm(t, sshtest.Dropbear(t, nil), 5*time.Second, 0)
}

func storm(t *testing.T, s *sshtest.Server, length time.Duration, opens int) (exchanges int) {
	t.Helper()
	client := dial(t, s, 20*time.Millisecond)
	l := &load{client: client, until: time.Now().Add(length), opens: opens, rekey: time.Second}
	l.run(t)
	exchanges = client.Transport().State().Exchanges
	require.Greater(t, exchanges, int(length/time.Second)) // ten times as many where the machine has nothing else to do
	require.NoError(t, client.Close())
	return exchanges
}
