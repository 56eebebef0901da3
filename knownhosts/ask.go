package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// maxAnswers bounds the answers to one question until "yes" or "no".
const maxAnswers = 5

// Question is a question of a [Policy] to a person.
type Question struct {
	// Text is the whole question, of several lines, without control characters.
	// When the question is asked again, Text names the possible answers only.
	Text string

	Addr   string        // the argument of VerifyHostKey
	Remote net.Addr      // of the connection; may be nil
	Key    ssh.PublicKey // the key in question; nil for a question about several keys

	// Fingerprint counts as "yes". Fingerprint is empty where only "yes" does.
	Fingerprint string
}

// asked is a question whose answer others wait for, too.
type asked struct {
	done chan struct{} // closed when the fields below are set
	err  error         // nil: yes
	gave bool          // a person has answered
}

// askOnce asks about a key of a host once, for all connections that want to know
// at the same time. An accepted key stays accepted for the life of the Policy,
// even if no login succeeds: the question was not about a user.
func (p *Policy) askOnce(ctx context.Context, c contact, remote net.Addr, unknown, address *KeyError) error {
	plain := c
	if address != nil {
		c.address = address.Name // a question of its own
	}
	a, err := p.join(ctx, c)
	if a == nil {
		return err
	}
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
		a.err, a.gave = withReason(refusal, errors.New("the key was declined")), true
	default:
		a.gave = true
		p.accept(c)
		if unknown != nil {
			p.accept(plain) // LearnHostKey looks for this contact
		}
	}
	return a.err
}

// join waits for the answer to a question that is being asked already. Otherwise
// the caller has to ask, and to close the done channel of a.
func (p *Policy) join(ctx context.Context, c contact) (a *asked, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.accepted[c] {
		other := p.asking[c]
		if other == nil {
			a = &asked{done: make(chan struct{})}
			if p.asking == nil {
				p.asking = make(map[contact]*asked)
			}
			p.asking[c] = a
			return a, nil
		}
		p.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
		}
		p.mu.Lock()
		select {
		case <-other.done:
		default:
			return nil, fmt.Errorf("knownhosts: question about the host key: %w", ctxerr.Of(ctx))
		}
		if other.gave {
			return nil, other.err
		}
		// The first caller gave up, so somebody else has to ask.
	}
	return nil, nil
}

func withReason(refusal *KeyError, err error) error {
	e := *refusal
	e.Err = hostfile.Join(e.Err, err)
	return &e
}

// question returns the question in the words of ssh(1).
func (p *Policy) question(refusal *KeyError, remote net.Addr, unknown bool, address *KeyError) *Question {
	q := &Question{Addr: refusal.Addr, Remote: remote, Key: refusal.Key}
	host := hostfile.Visible(refusal.Addr)
	if remote != nil {
		host += " (" + hostfile.Visible(remote.String()) + ")"
	}
	var b strings.Builder
	if unknown {
		key := sshkey.Plain(refusal.Key)
		q.Fingerprint = ssh.FingerprintSHA256(key)
		fmt.Fprintf(&b, "The authenticity of host %s can't be established: nothing is on record for %s.\n",
			host, hostfile.Visible(refusal.Name))
		fmt.Fprintf(&b, "%s key fingerprint is %s.\n", key.Type(), q.Fingerprint)
		if refusal.Err != nil {
			fmt.Fprintf(&b, "%s: %v.\n", refusal.Kind, refusal.Err)
		}
		if others := p.others(key); len(others) > 0 {
			fmt.Fprintf(&b, "This key is on record for other names, at: %s\n", places(others))
		} else {
			b.WriteString("This key is not on record for any other name.\n")
		}
	}
	if address != nil {
		fmt.Fprintf(&b, "The %s key of %s differs from the record for its address %s, at: %s\n",
			address.Key.Type(), hostfile.Visible(address.Addr), hostfile.Visible(address.Name), places(address.Known))
	}
	b.WriteString("Are you sure you want to continue connecting (" + answers(q) + ")? ")
	q.Text = hostfile.Visible(b.String())
	return q
}

func answers(q *Question) string {
	if q.Fingerprint != "" {
		return "yes/no/[fingerprint]"
	}
	return "yes/no"
}

// others returns the lines with a plain key, for whichever host.
func (p *Policy) others(key ssh.PublicKey) []Line {
	var others []Line
	for _, d := range p.dbs() {
		d.mu.RLock()
		for _, l := range d.lines {
			if l.Marker == "" && sshkey.Equal(l.Key, key) {
				others = append(others, d.line(l))
			}
		}
		d.mu.RUnlock()
	}
	return others
}

func places(lines []Line) string {
	shown := make([]string, len(lines))
	for i, l := range lines {
		shown[i] = hostfile.Position(l.File, l.Number)
	}
	return enumerate(shown)
}

// ask waits for the turn to ask, and for an answer that counts.
func (p *Policy) ask(ctx context.Context, q *Question) (yes bool, err error) {
	if err := p.turn.take(ctx); err != nil {
		return false, fmt.Errorf("nobody could be asked whether to accept the key: %w", err)
	}
	defer p.turn.release()
	prompt := p.Prompt
	if prompt == nil {
		prompt = Terminal(nil)
	}
	for range maxAnswers {
		answer, err := prompt(ctx, q)
		if err == nil {
			err = ctxerr.Of(ctx) // a late answer does not count: the connection is gone
		}
		if err != nil {
			return false, fmt.Errorf("nobody has answered whether to accept the key: %w", ctxerr.Join(ctx, err))
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
