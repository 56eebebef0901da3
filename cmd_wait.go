package nacre

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

const (
	defaultWaitDelay = 2 * time.Second       // Cmd.WaitDelay where it is 0
	signalGrace      = 50 * time.Millisecond // for queueing TERM where WaitDelay is less
)

// Wait waits until the command has ended and its output is copied. The error
// is nil for status 0, and a [*channel.ExitError] for another status or a signal.
// Where the status is not known or the output not whole, the error is another:
// [channel.ErrNoExitStatus], a lost connection, a failure of the caller's reader or
// writer. If the context ended first, and the command did not end well, the error
// wraps the context's error, too.
//
// A program that reads from a pipe reads to its end before calling Wait, as with
// os/exec.
func (c *Cmd) Wait() error {
	if c.Session == nil {
		return errors.New("nacre: Wait comes before a successful Start")
	}
	if c.waited.Swap(true) {
		return errors.New("nacre: Wait was called before: a Cmd runs once")
	}
	err := c.Session.Wait(c.running)
	if err == context.Canceled { // of running: the session was given up
		err = channel.ErrNoExitStatus
	}
	if copyErr := c.waitCopying(); err == nil {
		err = copyErr
	}
	interrupted := !c.watch()
	c.stop()
	if c.dialled && !c.KeepClient {
		c.Client.Close()
	}
	if interrupted && err != nil {
		return fmt.Errorf("nacre: command interrupted: %w (%w)", ctxerr.Of(c.ctx), err)
	}
	return err
}

// waitDelay returns WaitDelay with its default. A negative delay means no delay.
func (c *Cmd) waitDelay() time.Duration {
	if c.WaitDelay == 0 {
		return defaultWaitDelay
	}
	return max(c.WaitDelay, 0)
}

// interrupt runs when the context has ended before the command. The goroutine
// ends with the command, or by closing the session.
func (c *Cmd) interrupt() {
	delay := c.waitDelay()
	ctx, cancel := context.WithTimeout(c.running, delay)
	defer cancel()
	grace, stop := context.WithTimeout(c.running, max(delay, signalGrace))
	defer stop()
	cancelCommand := c.Cancel
	if cancelCommand == nil {
		cancelCommand = func() error { return c.Session.Signal(grace, ssh.SIGTERM) }
	}
	asked := make(chan struct{})
	go func() { // a Cancel that does not return must not keep the session
		defer close(asked)
		_ = cancelCommand()
	}()
	select {
	case <-asked:
	case <-grace.Done():
	}
	<-ctx.Done()
	c.stop()
	c.Session.Close()
}
