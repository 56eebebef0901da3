package testshell_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/testshell"
)

// slow is a client whose first write takes until the pipe's time is over.
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

// A command's output is not lost after the command has exited.
func TestSlowClientGetsAllOutput(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 40<<10)) // more than one read, and less than a pipe
	require.NoError(t, err)
	require.NoError(t, w.Close())
	exited := make(chan struct{})
	close(exited)
	client := &slow{r: r}
	testshell.CopyOutput(r, client, exited)
	require.Equal(t, 40<<10, client.Len())
}
