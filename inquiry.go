package nacre

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

// A server that bears less than its identification promises may drop a request
// that comes right behind the open of its channel (x/crypto/ssh's does), and the
// command would be waited for until its context ends. Since the requests of a
// channel are answered in order, RFC 4254 section 5.4, one more of them tells: a
// server that has dropped nothing has answered the others before. So after
// askAfter without an answer, and again after each further one up to maxAsked
// times, a request is sent that nobody knows.
const (
	askAfter = 2 * time.Second
	maxAsked = 30
)

// errDropped is why the refusal of a command is not believed.
var errDropped = errors.New("or this was the answer to a later request, and the server has dropped that one: " +
	"Config.Cautious suits such a server")

// inquiry asks a server that is silent about an early command.
type inquiry struct {
	ctx     context.Context
	session *channel.Session

	mu    sync.Mutex
	timer *time.Timer
	asked int
	over  bool
}

func inquire(ctx context.Context, s *channel.Session) *inquiry {
	q := &inquiry{ctx: ctx, session: s}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = time.AfterFunc(askAfter, q.ask)
	return q
}

// ask runs on a goroutine of its own, which ends with ctx at the latest.
func (q *inquiry) ask() {
	q.mu.Lock()
	if q.over {
		q.mu.Unlock()
		return
	}
	q.asked++
	q.mu.Unlock()

	_, err := q.session.SendRequest(q.ctx, "keepalive@openssh.com", true, nil)

	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil && !q.over && q.asked < maxAsked {
		q.timer.Reset(askAfter)
	}
}

// end stops asking, and tells whether that was necessary.
func (q *inquiry) end() (asked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.timer.Stop()
	return q.asked > 0
}

// started waits for the answers to all that was sent. A refusal that came only
// when the server was asked says nothing of the command: it may have started as
// well, on a server that answers in some other order.
func (l *launch) started(ctx context.Context) error {
	if !l.early {
		return l.session.Started(ctx)
	}
	q := inquire(ctx, l.session)
	err := l.session.Started(ctx)
	if q.end() && errors.As(err, new(*connection.RequestError)) {
		return fmt.Errorf("%w, %w", err, errDropped)
	}
	return err
}
