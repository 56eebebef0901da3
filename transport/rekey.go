package transport

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"
)

// Rekey starts a key re-exchange, unless one is under way, the first one too.
// It returns once our KEXINIT was sent; the exchange ends in ReadPacket, and
// until then WritePacket waits. So it is not for a time when one goroutine
// writes and reads in turn, as in authentication. If the exchange takes longer
// than Config.HandshakeTimeout the connection ends with a [*BudgetError].
func (c *Conn) Rekey() (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	// Without waiting for its end: of many who ask at once, each would start
	// another one.
	if c.w.exchange != nil || c.exchanging() {
		return nil
	}
	return c.startExchange()
}

// spent tells whether a key has done its share.
func (c *Config) spent(u usage) bool {
	return c.RekeyBytes > 0 && u.bytes >= c.RekeyBytes ||
		c.RekeyPackets > 0 && u.packets >= c.RekeyPackets ||
		u.packets >= askKeyPackets
}

// aged tells whether keys of that time are too old.
func (c *Config) aged(since time.Time) bool {
	return c.RekeyInterval > 0 && time.Since(since) >= c.RekeyInterval
}

// due tells whether the keys for sending have done their share, and new ones can
// be asked for. The write lock is held.
func (c *Conn) due() bool {
	return (c.config.spent(c.w.usage) || c.config.aged(c.w.since)) && c.mayExchange()
}

// checkReadUsage asks for new keys when the server has used its key enough.
// Another goroutine starts the exchange: a reader that writes could wait for a
// peer that waits for the reader.
func (c *Conn) checkReadUsage() {
	if !c.r.rekeyAsked && c.config.spent(c.r.usage) && c.authed.Load() {
		c.r.rekeyAsked = true
		go func() { _ = c.Rekey() }() // its error has ended the connection, and others see it
	}
}

// mayExchange tells whether new keys can be asked for without being told to.
// Like OpenSSH we leave authentication alone: one goroutine writes and reads
// there in turn, and a write that waits for an exchange would wait for itself.
func (c *Conn) mayExchange() bool { return c.authed.Load() && !c.exchanging() }

// exchanging tells whether an exchange is under way, in either direction: the
// first one too, of which the server's NEWKEYS may come late. The next one may
// not begin before.
func (c *Conn) exchanging() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rekeying != nil || c.state.Exchanges == 0
}

// startExchange sends our KEXINIT of a re-exchange. The write lock is held, and
// given to data again only after our NEWKEYS.
func (c *Conn) startExchange() error {
	init := ssh.Marshal(c.makeKexInit())
	c.w.exchange = &outgoingExchange{init: init, over: make(chan struct{})}
	timeout := c.config.HandshakeTimeout
	if timeout < 0 {
		timeout = 1<<63 - 1
	}
	c.mu.Lock()
	c.rekeying = time.AfterFunc(timeout, func() {
		c.fail(&BudgetError{Stage: "key re-exchange", Field: "HandshakeTimeout", Limit: timeout.String()})
	})
	c.mu.Unlock()
	c.owed.wake()
	if err := c.alive(); err != nil { // the end may not have seen that clock
		c.endExchange()
		return err
	}
	if err := c.w.seal(init, nil); err != nil {
		return err
	}
	return c.w.flush()
}

// countExchange ends an exchange that is done, both NEWKEYS included.
func (c *Conn) countExchange() {
	c.mu.Lock()
	c.state.Exchanges++
	c.mu.Unlock()
	c.endExchange()
}

// endExchange stops the clock of the re-exchange, if there is one.
func (c *Conn) endExchange() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rekeying != nil {
		c.rekeying.Stop()
		c.rekeying = nil
	}
}

// reexchange answers the server's KEXINIT: the first half of an exchange that
// the server wants, or the second half of one that we have begun.
func (c *Conn) reexchange(serverInit []byte) error {
	return c.exchange(context.Background(), serverInit)
}

// ourKexInit returns the payload of our KEXINIT, sending it if that was not
// done before the server's came.
func (c *Conn) ourKexInit() (init []byte, err error) {
	if err := c.lockWriter(); err != nil {
		return nil, err
	}
	defer func() { err = c.unlockWriter(err) }()
	if c.w.exchange == nil {
		if err := c.startExchange(); err != nil {
			return nil, err
		}
	}
	return c.w.exchange.init, nil
}
