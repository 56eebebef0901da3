package nacre

import (
	"context"
	"sync"
	"time"
)

// grace is the context of a Start. It ends with the caller's context, at once or,
// while a command has left whose answer is outstanding, up to WaitDelay later:
// only a command known to run can be cancelled. Error, cause, deadline and values
// are those of the caller's context.
type grace struct {
	context.Context
	delay time.Duration
	done  chan struct{}
	stop  func() bool // stops waiting for the end of the caller's context

	mu    sync.Mutex
	held  bool
	over  bool        // done is closed
	timer *time.Timer // runs from the end of the caller's context on, while held
}

// newGrace returns a grace that is not held. The caller closes it.
func newGrace(ctx context.Context, delay time.Duration) *grace {
	g := &grace{Context: ctx, delay: delay, done: make(chan struct{})}
	g.stop = context.AfterFunc(ctx, g.callerEnded)
	return g
}

// Done returns a channel that is closed at the end of the grace.
func (g *grace) Done() <-chan struct{} { return g.done }

// Err returns the error of the caller's context once the grace is over.
func (g *grace) Err() error {
	select {
	case <-g.done:
		return g.Context.Err()
	default:
		return nil
	}
}

// hold grants the delay from now on, or no longer. A caller whose context has
// ended gets no more of it than the rest of the delay.
func (g *grace) hold(held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = held
	if !held && g.Context.Err() != nil {
		g.end()
	}
}

func (g *grace) callerEnded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.held || g.delay <= 0 {
		g.end()
		return
	}
	g.timer = time.AfterFunc(g.delay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.end()
	})
}

// end is called with mu held.
func (g *grace) end() {
	if !g.over {
		g.over = true
		close(g.done)
	}
}

// close frees the timers. The grace does not end by that.
func (g *grace) close() {
	g.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
}
