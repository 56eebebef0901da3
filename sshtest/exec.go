package sshtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// pipeGrace is how long a pipe may be silent after the command has exited:
// children that outlive it may hold the pipe for as long as they like.
const pipeGrace = 100 * time.Millisecond

// exec runs a program of this machine as the session's command. The end of the
// session kills it, and the children that run then.
func (c *conn) exec(x *Session, name string, args ...string) int {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), x.Env...)
	ownGroup(cmd)
	stdin, outputs, err := startPiped(cmd, x.Stdout, x.Stderr)
	if err != nil {
		fmt.Fprintln(x.Stderr, "sshtest:", err)
		return 126
	}
	// The copy ends with the session, which may be after the command.
	c.tasks.Go(func() {
		io.Copy(stdin, x.Stdin)
		stdin.Close()
	})
	exited := make(chan struct{})
	var copies sync.WaitGroup
	for _, o := range outputs {
		copies.Go(func() { o.copy(exited) })
	}
	finished := make(chan struct{})
	c.tasks.Go(func() {
		cmd.Wait()
		close(exited)
		for _, o := range outputs {
			o.r.SetReadDeadline(time.Now().Add(pipeGrace))
		}
		copies.Wait()
		close(finished)
	})
	for {
		select {
		case signal := <-x.Signals:
			signalGroup(cmd.Process, signal)
		case <-x.Done():
			signalGroup(cmd.Process, ssh.SIGKILL)
			<-finished
			return -1
		case <-finished:
			if signal := deathSignal(cmd.ProcessState); signal != "" {
				return x.Abort(signal, "")
			}
			return cmd.ProcessState.ExitCode()
		}
	}
}

// output is what the command writes to one of its streams, on its way to the
// client. os/exec would throw away what a slow client has not taken yet when
// the command exits.
type output struct {
	r *os.File
	w io.Writer
}

// startPiped starts the command with a pipe for each stream.
func startPiped(cmd *exec.Cmd, stdout, stderr io.Writer) (stdin io.WriteCloser, outputs []output, err error) {
	var ends []*os.File // the command's; we close ours of them
	defer func() {
		for _, w := range ends {
			w.Close()
		}
		if err != nil {
			for _, o := range outputs {
				o.r.Close()
			}
		}
	}()
	for _, to := range []io.Writer{stdout, stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, outputs, err
		}
		ends, outputs = append(ends, w), append(outputs, output{r, to})
	}
	cmd.Stdout, cmd.Stderr = ends[0], ends[1]
	if stdin, err = cmd.StdinPipe(); err != nil {
		return nil, outputs, err
	}
	return stdin, outputs, cmd.Start()
}

// copy ends with the stream, with the session, or when the command has exited
// and nothing comes any more.
func (o output) copy(exited <-chan struct{}) {
	defer o.r.Close()
	buf := make([]byte, 32<<10)
	for {
		select {
		case <-exited:
			o.r.SetReadDeadline(time.Now().Add(pipeGrace))
		default:
		}
		n, err := o.r.Read(buf)
		if _, writeErr := o.w.Write(buf[:n]); writeErr != nil || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil && n == 0 {
			return
		}
	}
}
