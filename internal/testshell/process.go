package testshell

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

// pipeGrace is how long a pipe may be silent after the end of the command.
// Children that outlive the command may hold the pipe for much longer.
const pipeGrace = time.Second

// Exec runs a program of this machine. The end of the session kills the program
// and the children that run then.
func (c *Command) Exec(name string, args ...string) Exit {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), c.Env...)
	ownGroup(cmd)
	stdin, outputs, err := startPiped(cmd, c.Stdout, c.Stderr)
	if err != nil {
		fmt.Fprintln(c.Stderr, "sshtest:", err)
		return Exit{Status: 126}
	}
	// The copy ends with the session, possibly after the command.
	c.Tasks.Go(func() {
		io.Copy(stdin, c.Stdin)
		stdin.Close()
	})
	exited := make(chan struct{})
	var copies sync.WaitGroup
	for _, o := range outputs {
		copies.Go(func() { o.copy(exited) })
	}
	finished := make(chan struct{})
	c.Tasks.Go(func() {
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
		case signal := <-c.Signals:
			signalGroup(cmd.Process, signal)
		case <-c.Done:
			signalGroup(cmd.Process, ssh.SIGKILL)
			<-finished
			return Exit{Status: -1}
		case <-finished:
			if signal := deathSignal(cmd.ProcessState); signal != "" {
				return Exit{Signal: signal}
			}
			return Exit{Status: cmd.ProcessState.ExitCode()}
		}
	}
}

// output is a stream of the command, on its way to the client. os/exec would
// drop bytes not yet taken by a slow client when the command exits.
type output struct {
	r *os.File
	w io.Writer
}

// startPiped starts the command with a pipe for each stream. The caller copies
// the outputs, and closes stdin at the end of the input. After an error no
// pipe is left open.
func startPiped(cmd *exec.Cmd, stdout, stderr io.Writer) (stdin io.WriteCloser, outputs []output, err error) {
	var ends []*os.File // the command's ends, closed here after the start
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
// and the pipe is silent.
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
