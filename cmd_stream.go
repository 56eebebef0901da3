package nacre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// streams has the copies of a running command, and the streams left to pipes.
type streams struct {
	stdinPiped, stdoutPiped, stderrPiped bool

	copies   int        // goroutines with output to copy
	results  chan error // of these
	stdinErr chan error // the failure of the source of Stdin
}

// checkStreams finds a stream with both a copy and a pipe.
func (c *Cmd) checkStreams() error {
	s := &c.streams
	if s.stdinPiped && c.Stdin != nil || s.stdoutPiped && c.Stdout != nil || s.stderrPiped && c.Stderr != nil {
		return errors.New("nacre: a stream of the command is set, and has a pipe as well: use one of them")
	}
	return nil
}

// closeUnused closes output without a reader, before the command can write
// anything, so that no window is spent on the output.
func (c *Cmd) closeUnused(s *channel.Session) {
	if c.Stdout == nil && !c.streams.stdoutPiped {
		s.CloseRead()
	}
	if c.Stderr == nil && !c.streams.stderrPiped {
		s.Stderr().Close()
	}
}

// startCopying starts a goroutine for each copied stream. The goroutines of the
// output end with the session, the goroutine of the input with its source. Input
// that was sent already has none.
func (c *Cmd) startCopying(inputSent bool) {
	out, errs := c.Stdout, c.Stderr
	if out != nil && sameWriter(out, errs) {
		locked := &lockedWriter{w: out}
		out, errs = locked, locked
	}
	c.streams.results = make(chan error, 2)
	if out != nil {
		c.copyOutput(out, c.Session, c.Session.CloseRead)
	}
	if errs != nil {
		c.copyOutput(errs, c.Session.Stderr(), c.Session.Stderr().Close)
	}
	c.streams.stdinErr = make(chan error, 1)
	switch {
	case inputSent && c.Stdin != nil:
		_, _ = io.Copy(io.Discard, c.Stdin) // sending has left the input in its reader
	case inputSent:
	case c.Stdin != nil:
		go c.copyInput()
	case !c.streams.stdinPiped && c.PTY == nil:
		c.Session.CloseWrite()
	}
}

// copyOutput copies a stream of output. When the writer fails, the rest is
// dropped, so that the command does not hang on a stream without a reader.
func (c *Cmd) copyOutput(w io.Writer, from io.WriterTo, discard func() error) {
	c.streams.copies++
	go func() {
		_, err := from.WriteTo(w)
		if err != nil {
			discard()
		}
		c.streams.results <- err
	}()
}

// copyInput copies Stdin and ends the command's input. A failing write needs no
// report: the command has ended, or the session reports its own failure.
func (c *Cmd) copyInput() {
	source := &sourceReader{r: c.Stdin}
	_, _ = c.Session.ReadFrom(source)
	if source.err != nil {
		c.streams.stdinErr <- fmt.Errorf("nacre: reading Stdin: %w", source.err)
	}
	c.Session.CloseWrite()
}

// errNotCopied is the error of output whose writer was too slow.
var errNotCopied = errors.New("nacre: the command's output was not copied to its end")

// copyGrace is how long a writer may take over its last bytes when the session is
// given up.
const copyGrace = 50 * time.Millisecond

// waitCopying waits for the output, and returns the first error of the caller's
// writers and reader. If the session was given up, there is no more output, and
// the copies end as soon as the writers return: callers use these afterwards.
func (c *Cmd) waitCopying() (first error) {
	givenUp := c.running.Done()
	var late <-chan time.Time
	for left := c.streams.copies; left > 0; {
		var err error
		select {
		case err = <-c.streams.results:
			left--
		case <-givenUp:
			c.Session.Close()
			givenUp, late = nil, time.After(copyGrace)
		case <-late:
			left, err = 0, errNotCopied
		}
		if givenUp == nil && errors.Is(err, net.ErrClosed) {
			err = errNotCopied
		}
		if first == nil {
			first = err
		}
	}
	select {
	case err := <-c.streams.stdinErr:
		if first == nil {
			first = err
		}
	default:
	}
	return first
}

// sourceReader remembers how its reader has failed.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// sameWriter compares two writers, and does not panic where their types cannot be
// compared.
func sameWriter(a, b io.Writer) bool {
	defer func() { _ = recover() }()
	return a == b
}

// lockedWriter lets two goroutines share a writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// buffer is a bytes.Buffer for concurrent use: an abandoned copy may still write
// while the caller reads.
type buffer struct {
	mu  sync.Mutex
	buf []byte
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p...)
	return len(p), nil
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.buf)
}

// maxTail is how much of the standard error an ExitError holds, in bytes.
const maxTail = 32 * 1024

// tail keeps the end of the written bytes.
type tail struct{ buffer }

func (t *tail) Write(p []byte) (int, error) {
	_, _ = t.buffer.Write(p[max(0, len(p)-maxTail):])
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.buf); n > 2*maxTail {
		t.buf = append(t.buf[:0], t.buf[n-maxTail:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	b := t.buffer.bytes()
	return b[max(0, len(b)-maxTail):]
}

// StdinPipe returns a writer to the command's standard input. Close ends the
// input. Writes wait for Start, as long as the context has not ended.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil || c.called || c.streams.stdinPiped {
		return nil, errors.New("nacre: StdinPipe has to come once, before Start, with Stdin unset")
	}
	c.streams.stdinPiped = true
	return &stdinPipe{c.newPipe()}, nil
}

// StdoutPipe returns a reader of the command's standard output, to be read to
// its end before Wait is called. Reads wait for Start, as long as the context has
// not ended. Close drops the rest.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil || c.called || c.streams.stdoutPiped {
		return nil, errors.New("nacre: StdoutPipe has to come once, before Start, with Stdout unset")
	}
	c.streams.stdoutPiped = true
	return &outputPipe{c.newPipe(), func(s *channel.Session) output { return stdout{s} }}, nil
}

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil || c.called || c.streams.stderrPiped {
		return nil, errors.New("nacre: StderrPipe has to come once, before Start, with Stderr unset")
	}
	c.streams.stderrPiped = true
	return &outputPipe{c.newPipe(), func(s *channel.Session) output { return s.Stderr() }}, nil
}

// pipe is the caller's end of a stream of the command, and waits for Start.
type pipe struct {
	c      *Cmd
	closed context.Context // ends with Close
	close  context.CancelFunc
}

func (c *Cmd) newPipe() pipe {
	p := pipe{c: c}
	p.closed, p.close = context.WithCancel(context.Background())
	return p
}

// session waits for Start and returns the session.
func (p *pipe) session() (*channel.Session, error) {
	select {
	case <-p.c.ready.Done(): // counts, even when the context has ended as well
	default:
		select {
		case <-p.c.ready.Done():
		case <-p.closed.Done():
			return nil, fmt.Errorf("nacre: pipe of a command: %w", net.ErrClosed)
		case <-p.c.ctx.Done():
			return nil, fmt.Errorf("nacre: the command was not started: %w", ctxerr.Of(p.c.ctx))
		}
	}
	return p.c.Session, p.c.startErr
}

// end calls closing with the session. Before Start, end leaves the call to Start
// and returns, because a deferred Close must not wait for a Start without end.
func (p *pipe) end(closing func(*channel.Session) error) error {
	c := p.c
	p.close()
	if c.ready.Err() == nil {
		context.AfterFunc(c.ready, func() {
			if c.startErr == nil {
				_ = closing(c.Session)
			}
		})
		return nil
	}
	if c.startErr != nil {
		return c.startErr
	}
	return closing(c.Session)
}

type stdinPipe struct{ pipe }

func (p *stdinPipe) Write(b []byte) (int, error) {
	s, err := p.session()
	if err != nil {
		return 0, err
	}
	return s.Write(b)
}

func (p *stdinPipe) ReadFrom(r io.Reader) (int64, error) {
	s, err := p.session()
	if err != nil {
		return 0, err
	}
	return s.ReadFrom(r)
}

func (p *stdinPipe) Close() error {
	return p.end(func(s *channel.Session) error { return s.CloseWrite() })
}

// output is a stream of output of a session.
type output interface {
	io.ReadCloser
	io.WriterTo
}

// stdout is a session whose Close closes the stream alone.
type stdout struct{ *channel.Session }

func (s stdout) Close() error { return s.CloseRead() }

type outputPipe struct {
	pipe
	of func(*channel.Session) output
}

func (p *outputPipe) Read(b []byte) (int, error) {
	s, err := p.session()
	if err != nil {
		return 0, err
	}
	return p.of(s).Read(b)
}

func (p *outputPipe) WriteTo(w io.Writer) (int64, error) {
	s, err := p.session()
	if err != nil {
		return 0, err
	}
	return p.of(s).WriteTo(w)
}

func (p *outputPipe) Close() error {
	return p.end(func(s *channel.Session) error { return p.of(s).Close() })
}
