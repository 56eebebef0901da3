package early

import (
	"context"
	"sync"
	"time"
)

// The rhythm of an Inquiry.
const (
	askAfter = 2 * time.Second
	maxAsked = 30
)

// Inquiry asks a server that is silent about an early command. A server may bear
// less than its identification promises, and drop a request right behind the open
// of its channel: the client would wait until the command's context ends. Since
// the requests of a channel are answered in order, RFC 4254 section 5.4, a further
// request tells: a server without drops answers the earlier requests first. So
// after 2 seconds without an answer, and again every 2 seconds up to 30 times, a
// request unknown to every server is sent.
type Inquiry struct {
	ctx context.Context
	ask func(ctx context.Context) error

	mu    sync.Mutex
	timer *time.Timer
	asked int
	over  bool
}

// Inquire starts an inquiry; ask sends the request. The end of ctx ends an ask
// that still waits to send.
func Inquire(ctx context.Context, ask func(ctx context.Context) error) *Inquiry {
	q := &Inquiry{ctx: ctx, ask: ask}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = time.AfterFunc(askAfter, q.tick)
	return q
}

// tick asks once, on a goroutine of its own. The goroutine ends with ctx at the
// latest.
func (q *Inquiry) tick() {
	q.mu.Lock()
	if q.over {
		q.mu.Unlock()
		return
	}
	q.asked++
	q.mu.Unlock()

	err := q.ask(q.ctx)

	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil && !q.over && q.asked < maxAsked {
		q.timer.Reset(askAfter)
	}
}

// End stops the inquiry, and reports whether the server was asked.
func (q *Inquiry) End() (asked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.timer.Stop()
	return q.asked > 0
}
