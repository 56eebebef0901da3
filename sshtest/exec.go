package sshtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"
)

// exec runs a program of this machine as the session's command. The end of
// the session kills it and its children.
func (c *conn) exec(x *Session, name string, args ...string) int {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), x.Env...)
	cmd.Stdout, cmd.Stderr = x.Stdout, x.Stderr
	// Children that outlive it may hold its pipes for as long as they like.
	cmd.WaitDelay = 100 * time.Millisecond
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
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
	c.tasks.Go(func() {
		cmd.Wait()
		close(exited)
	})
	for {
		select {
		case signal := <-x.Signals:
			signalGroup(cmd.Process, signal)
		case <-x.Done():
			signalGroup(cmd.Process, ssh.SIGKILL)
			<-exited
			return -1
		case <-exited:
			if signal := deathSignal(cmd.ProcessState); signal != "" {
				return x.Abort(signal, "")
			}
			return cmd.ProcessState.ExitCode()
		}
	}
}
