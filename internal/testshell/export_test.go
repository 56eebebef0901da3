package testshell

import (
	"io"
	"os"
)

// CopyOutput copies the output of a command from r.
func CopyOutput(r *os.File, w io.Writer, exited <-chan struct{}) { output{r, w}.copy(exited) }
