package sshtest

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slow is a client that takes its time over the first write, for as long as
// the pipe would have been waited for.
type slow struct {
	bytes.Buffer
	r *os.File
}

func (s *slow) Write(p []byte) (int, error) {
	if s.Len() == 0 {
		if err := s.r.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return 0, err
		}
	}
	return s.Buffer.Write(p)
}

// What a command has written is not lost because it has exited since.
func TestSlowClientGetsAllOutput(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 40<<10)) // more than one read, and less than a pipe
	require.NoError(t, err)
	require.NoError(t, w.Close())
	exited := make(chan struct{})
	close(exited)
	client := &slow{r: r}
	output{r, client}.copy(exited)
	require.Equal(t, 40<<10, client.Len())
}
