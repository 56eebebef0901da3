package transport

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// askKeyPackets is how many packets a key protects before we ask for another,
// whatever the config says: half of the 2^32 that RFC 4344 section 3.1 allows.
const askKeyPackets = 1 << 31

// Rekey starts a key re-exchange, unless an exchange is under way, the first included.
// Rekey returns once our KEXINIT was sent. The exchange ends in ReadPacket, and until
// then WritePacket waits: do not call Rekey while a single goroutine writes and reads
// in turn, as in authentication. An exchange that takes longer than
// Config.HandshakeTimeout ends the connection with a [*BudgetError].
func (c *Conn) Rekey() (err error) {
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	// Nobody waits for the end of the other exchange: of many callers at once, each
	// would start another.
	if c.w.exchange != nil || c.exchanging() {
		return nil
	}
	return c.startExchange()
}

// spent reports whether a key has reached a bound of the Config, or askKeyPackets.
func (c *Config) spent(u packetio.Usage) bool {
	return c.RekeyBytes > 0 && u.Bytes >= c.RekeyBytes ||
		c.RekeyPackets > 0 && u.Packets >= c.RekeyPackets ||
		u.Packets >= askKeyPackets
}

// aged reports whether keys of that time are older than RekeyInterval.
func (c *Config) aged(since time.Time) bool {
	return c.RekeyInterval > 0 && time.Since(since) >= c.RekeyInterval
}

// due reports whether the keys for sending are spent or too old, and new keys can be
// asked for. The write lock is held.
func (c *Conn) due() bool {
	return (c.config.spent(c.w.KeyUsage()) || c.config.aged(c.w.since)) && c.mayExchange()
}

// checkReadUsage asks for new keys when the server has used its key enough. Another
// goroutine starts the exchange: a reader that writes could wait for a peer that waits
// for the reader.
func (c *Conn) checkReadUsage() {
	if !c.r.rekeyAsked && c.config.spent(c.r.KeyUsage()) && c.authed.Load() {
		c.r.rekeyAsked = true
		go func() { _ = c.Rekey() }() // its error has ended the connection, and others see it
	}
}

// mayExchange reports whether we can start an exchange of our own accord. Like OpenSSH
// we leave authentication alone: a single goroutine writes and reads there in turn,
// and would wait in a write for an exchange that only its read could end.
func (c *Conn) mayExchange() bool { return c.authed.Load() && !c.exchanging() }

// exchanging reports whether an exchange is under way, in either direction. The
// server's NEWKEYS may come late, and the next exchange must not begin before.
func (c *Conn) exchanging() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rekeying != nil || c.state.Exchanges == 0
}

// startExchange sends our KEXINIT of a re-exchange. The write lock is held, and no
// data is sent until our NEWKEYS.
func (c *Conn) startExchange() error {
	init := ssh.Marshal(c.makeKexInit())
	c.w.exchange = &outgoingExchange{init: init, over: make(chan struct{})}
	c.mu.Lock()
	c.rekeying = c.exchangeClock()
	c.mu.Unlock()
	c.owed.wake()
	if err := c.alive(); err != nil { // fail may have come before this clock
		c.endExchange()
		return err
	}
	if err := c.w.Seal(init); err != nil {
		return err
	}
	return c.w.Flush()
}

// exchangeClock returns a timer that ends the connection when a re-exchange takes
// too long.
func (c *Conn) exchangeClock() *time.Timer {
	timeout := c.config.HandshakeTimeout
	if timeout < 0 {
		timeout = 1<<63 - 1
	}
	return time.AfterFunc(timeout, func() {
		c.fail(&BudgetError{Stage: "key re-exchange", Field: "HandshakeTimeout", Limit: timeout.String()})
	})
}

// countExchange ends an exchange after both NEWKEYS.
func (c *Conn) countExchange() {
	c.mu.Lock()
	c.state.Exchanges++
	c.mu.Unlock()
	c.endExchange()
}

// endExchange stops the clock of the re-exchange, if a re-exchange is under way.
func (c *Conn) endExchange() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rekeying != nil {
		c.rekeying.Stop()
		c.rekeying = nil
	}
}

// reexchange answers the server's KEXINIT: the first half of the server's exchange, or
// the second half of ours.
func (c *Conn) reexchange(serverInit []byte) error {
	// Our KEXINIT may have to wait for a write that the server does not take.
	defer c.exchangeClock().Stop()
	return c.exchange(context.Background(), serverInit)
}

// ourKexInit returns the payload of our KEXINIT, and sends our KEXINIT unless it left
// before the server's came.
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
