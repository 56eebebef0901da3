package knownhosts

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// maxAnswer bounds one answer, in bytes.
const maxAnswer = 1024

// Terminal returns a Prompt for [Policy] that writes the question to rw and reads
// the answer, a line, from rw. A nil rw is the terminal of the process, wherever
// standard input comes from. Without a terminal the Prompt fails, and so refuses.
// A read of rw that goes on when ctx ends is left behind, unless rw has the
// deadlines of a file.
func Terminal(rw io.ReadWriter) func(ctx context.Context, q *Question) (answer string, err error) {
	return func(ctx context.Context, q *Question) (string, error) {
		if rw != nil {
			return askOn(ctx, rw, rw, q, func() {})
		}
		// Standard input may be the input of the remote command.
		in, out := "/dev/tty", "/dev/tty"
		if runtime.GOOS == "windows" {
			in, out = "CONIN$", "CONOUT$"
		}
		r, err := os.OpenFile(in, os.O_RDWR, 0)
		if err != nil {
			return "", fmt.Errorf("there is no terminal to ask on: %w", err)
		}
		w, err := os.OpenFile(out, os.O_RDWR, 0)
		if err != nil {
			r.Close()
			return "", fmt.Errorf("there is no terminal to ask on: %w", err)
		}
		defer w.Close()
		return askOn(ctx, r, w, q, func() { r.Close() })
	}
}

// askOn reads on a goroutine of its own, since few readers know contexts. The
// same goroutine closes r, because on Windows the close waits for the end of the
// read.
func askOn(ctx context.Context, r io.Reader, w io.Writer, q *Question, closeReader func()) (string, error) {
	if _, err := io.WriteString(w, hostfile.Visible(q.Text)); err != nil {
		closeReader()
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	given := make(chan answer, 1)
	go func() {
		defer closeReader()
		text, err := readAnswer(r)
		given <- answer{text, err}
	}()
	select {
	case a := <-given:
		return a.text, a.err
	case <-ctx.Done():
		if d, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok && d.SetReadDeadline(time.Unix(1, 0)) == nil {
			<-given
			_ = d.SetReadDeadline(time.Time{})
		}
		return "", ctxerr.Of(ctx)
	}
}

// readAnswer reads a line, and nothing behind the line.
func readAnswer(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxAnswer; {
		n, err := r.Read(b)
		line = append(line, b[:n]...)
		if n > 0 && b[0] == '\n' || err == io.EOF && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("answer has more than %d bytes", maxAnswer)
}
