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

// A minute against a server that makes new keys every 16 KiB, while the client
// makes new keys every 4 KiB. Both mostly wait for the network.
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
	require.InDelta(t, exchanges, seen, 1, "the last exchange may be incomplete, on either side")
}

// Dropbear makes new keys on request. Dropbear 2022.83 closes sessions without
// a command when another session ends, with or without new keys, so here all
// sessions begin and end together.
func TestStormAgainstDropbear(t *testing.T) {
	t.Parallel()
	storm(t, sshtest.Dropbear(t, nil), 5*time.Second, 0)
}

func storm(t *testing.T, s *sshtest.Server, length time.Duration, opens int) (exchanges int) {
	t.Helper()
	client := dial(t, s, 20*time.Millisecond)
	// An idle machine makes ten times as many exchanges in that time; a loaded
	// machine goes on until these are made.
	l := &load{client: client, until: time.Now().Add(length), exchanges: int(length / time.Second), opens: opens, rekey: time.Second}
	l.run(t)
	exchanges = client.Transport().State().Exchanges
	require.NoError(t, client.Close())
	return exchanges
}
