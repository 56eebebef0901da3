package transport

import (
	"fmt"
	"sync"
	"time"
)

// budget is the time that a server may still have us wait. Its clock runs while
// a call does, so that nobody is hurried by it but the server.
type budget struct {
	mu      sync.Mutex
	left    time.Duration // at since
	since   time.Time     // when the first of the calls that wait began to
	waiting int           // how many there are
	clock   *time.Timer   // runs while there are any
	over    func()        // ends the connection
	spent   bool          // and was called
	closed  bool          // nothing is charged any more
}

// init is called before the budget is used. A negative limit is none.
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

// close stops the clock for good. It tells whether that comes too late.
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

// startWaiting is called before anything that may wait for the server. Once it
// has granted access, that costs next to nothing.
func (c *Conn) startWaiting() {
	if !c.authed.Load() {
		c.handshake.start()
		c.login.start()
	}
}

// stopWaiting is called after it.
func (c *Conn) stopWaiting() {
	if !c.authed.Load() {
		c.handshake.stop()
		c.login.stop()
	}
}

// next returns the next packet. Until the server has granted access, all that it
// sends is charged.
func (c *Conn) next() ([]byte, error) {
	p, err := c.r.next()
	if err == nil && !c.authed.Load() {
		err = c.checkBudget()
	}
	return p, err
}

// checkBudget looks at what was received. The read lock is held.
func (c *Conn) checkBudget() error {
	switch total, config := c.r.total, &c.config; {
	case config.LoginBytes > 0 && total.bytes > config.LoginBytes:
		return c.overBudget("LoginBytes", config.LoginBytes)
	case config.LoginPackets > 0 && total.packets > config.LoginPackets:
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
