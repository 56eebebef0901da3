package transport

import (
	"fmt"
	"sync"
	"time"
)

// A budget is the time for which the server may still make calls wait. The clock of a
// budget runs only during such calls: the time of a person or of a caller is free.
type budget struct {
	mu      sync.Mutex
	left    time.Duration // at since
	since   time.Time     // when the first of the waiting calls began
	waiting int           // calls
	clock   *time.Timer   // runs while calls wait
	over    func()        // ends the connection
	spent   bool          // over was called
	closed  bool          // nothing is charged any more
}

// init is called before the budget is used. A negative limit means no limit.
func (b *budget) init(limit time.Duration, over func()) {
	b.left, b.over, b.closed = limit, over, limit < 0
}

// start is called before a wait, and stop after it.
func (b *budget) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting++; b.waiting > 1 || b.closed {
		return
	}
	b.since = time.Now()
	if b.clock != nil {
		b.clock.Reset(b.left)
		return
	}
	b.clock = time.AfterFunc(b.left, b.expire)
}

func (b *budget) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting--; b.waiting > 0 || b.closed {
		return
	}
	b.clock.Stop()
	b.left -= time.Since(b.since)
}

// expire ends the connection, unless the budget was closed just before.
func (b *budget) expire() {
	b.mu.Lock()
	b.spent = !b.closed
	b.closed = true
	spent := b.spent
	b.mu.Unlock()
	if spent {
		b.over()
	}
}

// close stops the clock for good. spent is true if over was called before.
func (b *budget) close() (spent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.clock != nil {
		b.clock.Stop()
		b.clock = nil
	}
	return b.spent
}

// startWaiting is called before anything that may wait for the server. Once the server
// has granted access, startWaiting costs next to nothing.
func (c *Conn) startWaiting() {
	if !c.authed.Load() {
		c.handshake.start()
		c.login.start()
	}
}

// stopWaiting is called after a wait.
func (c *Conn) stopWaiting() {
	if !c.authed.Load() {
		c.handshake.stop()
		c.login.stop()
	}
}

// checkBudget compares the bytes and packets received with the Config's. The read lock
// is held.
func (c *Conn) checkBudget() error {
	switch total, config := c.r.Total(), &c.config; {
	case config.LoginBytes > 0 && total.Bytes > config.LoginBytes:
		return c.overBudget("LoginBytes", config.LoginBytes)
	case config.LoginPackets > 0 && total.Packets > config.LoginPackets:
		return c.overBudget("LoginPackets", config.LoginPackets)
	}
	return nil
}

// overBudget returns the error for a field of the config whose value is spent.
func (c *Conn) overBudget(field string, limit any) error {
	e := &BudgetError{Field: field, Limit: fmt.Sprint(limit)}
	switch state := c.State(); {
	case state.ServerVersion == "":
		e.Stage = "version exchange"
	case state.Exchanges == 0:
		e.Stage = "key exchange"
	default:
		e.Stage = "authentication"
	}
	return e
}
