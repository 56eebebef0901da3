package leaks_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/leaks"
)

func linger(begun, until chan struct{}) {
	close(begun)
	<-until
}

func TestStraysAreFoundUntilTheyEnd(t *testing.T) {
	begun, until := make(chan struct{}), make(chan struct{})
	go linger(begun, until)
	<-begun
	require.Contains(t, strings.Join(leaks.Goroutines(0), "\n\n"), "leaks_test.linger")

	close(until)
	require.Empty(t, leaks.Goroutines(time.Minute))
}

func TestFilesLeftOpenAreFoundUntilTheyAreClosed(t *testing.T) {
	before := leaks.OpenFiles()
	if len(before) == 0 {
		return // no /proc
	}
	file, err := os.Create(t.TempDir() + "/left")
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	left := leaks.Files(before, 0)
	require.Len(t, left, 2)
	require.Contains(t, left[0]+left[1], file.Name())

	require.NoError(t, file.Close())
	require.NoError(t, l.Close())
	require.Empty(t, leaks.Files(before, time.Minute))
}
