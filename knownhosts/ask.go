package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
)

const (
	// maxAnswers bounds how often a person is asked again because of an answer
	// that is none.
	maxAnswers = 5
	// maxAnswer bounds one answer, in bytes.
	maxAnswer = 1024
)

// Question is what a [Policy] asks a person.
type Question struct {
	// Text is the whole question, of several lines, without control characters.
	// When it is asked again, it says only what can be answered.
	Text string

	Addr   string        // as it was given to VerifyHostKey
	Remote net.Addr      // of the connection; may be nil
	Key    ssh.PublicKey // that is in question; nil where it is about several

	// Fingerprint counts as "yes"; it is empty where only "yes" does.
	Fingerprint string
}

// asked is a question that others wait for, too.
type asked struct {
	done chan struct{} // closed when what follows is set
	err  error         // nil: yes
	gave bool          // an answer
}

// askOnce asks about a key of a host once, however many connections want to
// know at the same time. What was accepted stays so for the life of the Policy,
// even if no login succeeds: the person was not asked about a user.
func (p *Policy) askOnce(ctx context.Context, c contact, remote net.Addr, unknown, address *KeyError) error {
	plain := c
	if address != nil {
		c.address = address.Name // a question of its own
	}
	for {
		p.mu.Lock()
		if p.accepted[c] {
			p.mu.Unlock()
			return nil
		}
		other := p.asking[c]
		if other == nil {
			break
		}
		p.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if other.gave {
			return other.err
		}
		// Whoever has asked gave up. It is our turn.
	}
	a := &asked{done: make(chan struct{})}
	if p.asking == nil {
		p.asking = make(map[contact]*asked)
	}
	p.asking[c] = a
	p.mu.Unlock()

	defer func() { // also when Prompt panics
		p.mu.Lock()
		delete(p.asking, c)
		p.mu.Unlock()
		close(a.done)
	}()
	refusal := unknown
	if refusal == nil {
		refusal = address
	}
	q := p.question(refusal, remote, unknown != nil, address)
	yes, err := p.ask(ctx, q)
	switch {
	case err != nil:
		a.err = withReason(refusal, err)
	case !yes:
		a.err, a.gave = withReason(refusal, errors.New("it was declined")), true
	default:
		a.gave = true
		p.accept(c)
		if unknown != nil {
			p.accept(plain) // which LearnHostKey looks for
		}
	}
	return a.err
}

func withReason(refusal *KeyError, err error) error {
	e := *refusal
	e.Err = join(e.Err, err)
	return &e
}

// question says what ssh(1) would.
func (p *Policy) question(refusal *KeyError, remote net.Addr, unknown bool, address *KeyError) *Question {
	q := &Question{Addr: refusal.Addr, Remote: remote, Key: refusal.Key}
	host := visible(refusal.Addr)
	if remote != nil {
		host += " (" + visible(remote.String()) + ")"
	}
	var b strings.Builder
	if unknown {
		q.Fingerprint = ssh.FingerprintSHA256(plainKey(refusal.Key))
		fmt.Fprintf(&b, "The authenticity of host %s can't be established: nothing is on record for %s.\n",
			host, visible(refusal.Name))
		fmt.Fprintf(&b, "%s key fingerprint is %s.\n", plainKey(refusal.Key).Type(), q.Fingerprint)
		if refusal.Err != nil {
			fmt.Fprintf(&b, "%s: %v.\n", refusal.Kind, refusal.Err)
		}
		if others := p.others(refusal.Key); len(others) > 0 {
			fmt.Fprintf(&b, "This key is on record for other names, at: %s\n", places(others))
		} else {
			b.WriteString("This key is not on record for any other name.\n")
		}
	}
	if address != nil {
		fmt.Fprintf(&b, "The %s key of %s differs from what is on record for its address %s, at: %s\n",
			address.Key.Type(), visible(address.Addr), visible(address.Name), places(address.Known))
	}
	b.WriteString("Are you sure you want to continue connecting (" + answers(q) + ")? ")
	q.Text = visible(b.String())
	return q
}

func answers(q *Question) string {
	if q.Fingerprint != "" {
		return "yes/no/[fingerprint]"
	}
	return "yes/no"
}

// others are the lines with that key, whatever they are about.
func (p *Policy) others(key ssh.PublicKey) []Line {
	blob := string(plainKey(key).Marshal())
	var others []Line
	for _, d := range p.dbs() {
		d.mu.RLock()
		for _, l := range d.lines {
			if l.Marker == "" && string(l.Key.Marshal()) == blob {
				others = append(others, l.Line)
			}
		}
		d.mu.RUnlock()
	}
	return others
}

func places(lines []Line) string {
	shown := make([]string, len(lines))
	for i, l := range lines {
		shown[i] = position(l.File, l.Number)
	}
	return enumerate(shown)
}

// ask waits for its turn, and for an answer that is one.
func (p *Policy) ask(ctx context.Context, q *Question) (yes bool, err error) {
	if err := p.turn.take(ctx); err != nil {
		return false, err
	}
	defer p.turn.release()
	prompt := p.Prompt
	if prompt == nil {
		prompt = Terminal(nil)
	}
	for range maxAnswers {
		answer, err := prompt(ctx, q)
		if err == nil {
			err = ctx.Err() // a late answer is none: the connection is gone
		}
		if err != nil {
			return false, fmt.Errorf("nobody has answered whether to accept it: %w", err)
		}
		answer = strings.TrimSpace(answer)
		switch {
		case strings.EqualFold(answer, "yes") || q.Fingerprint != "" && answer == q.Fingerprint:
			return true, nil
		case strings.EqualFold(answer, "no") || answer == "":
			return false, nil
		}
		again := *q
		again.Text = "Please answer with " + answers(q) + ": "
		q = &again
	}
	return false, fmt.Errorf("none of %d answers was yes or no", maxAnswers)
}

// Terminal returns a Prompt for [Policy] that writes the question to rw and
// reads the answer, a line, from it. A nil rw is the terminal that the process
// belongs to, whatever its standard input is; without one the Prompt fails, and
// so refuses. A read of rw that goes on when ctx ends is left behind, unless rw
// has the deadlines of a file.
func Terminal(rw io.ReadWriter) func(ctx context.Context, q *Question) (answer string, err error) {
	return func(ctx context.Context, q *Question) (string, error) {
		if rw != nil {
			return askOn(ctx, rw, rw, q, func() {})
		}
		// Not standard input, which may be what the remote command is to read.
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

// askOn reads on a goroutine of its own, since few readers know contexts. That
// is also the one to close r: on Windows it would wait for the end of the read.
func askOn(ctx context.Context, r io.Reader, w io.Writer, q *Question, closeReader func()) (string, error) {
	if _, err := io.WriteString(w, visible(q.Text)); err != nil {
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
		return "", ctx.Err()
	}
}

// readAnswer reads a line, and nothing behind it.
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
	return "", fmt.Errorf("an answer of more than %d bytes", maxAnswer)
}

// visible takes out what a terminal could obey, and what could make text look
// like other text, and leaves the line feeds.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
