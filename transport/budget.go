package transport

import (
	"fmt"
	"sync"
	"time"
)

// budget is the time that a server which has not granted access may still have
// us wait. Its clock runs while a call does, so that nobody is hurried by it but
// the server.
type budget struct {
	mu      sync.Mutex
	left    time.Duration // at since; of Config.LoginTimeout
	since   time.Time     // when the first of the calls that wait began to
	waiting int           // how many there are
	clock   *time.Timer   // runs while there are any
	closed  bool          // access was granted, or the connection has ended
}

// close stops the clock for good.
func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.clock != nil {
		b.clock.Stop()
		b.clock = nil
	}
}

func (b *budget) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// startWaiting is called before anything that may wait for the server. Once it
// has granted access, that costs next to nothing.
func (c *Conn) startWaiting() {
	if c.authed.Load() || c.config.LoginTimeout < 0 {
		return
	}
	b := &c.budget
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
	b.clock = time.AfterFunc(b.left, func() {
		if !b.isClosed() {
			c.fail(c.overBudget("LoginTimeout", c.config.LoginTimeout))
		}
	})
}

// stopWaiting is called after it.
func (c *Conn) stopWaiting() {
	if c.authed.Load() || c.config.LoginTimeout < 0 {
		return
	}
	b := &c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting--; b.waiting > 0 || b.closed {
		return
	}
	b.clock.Stop()
	b.left -= time.Since(b.since)
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
