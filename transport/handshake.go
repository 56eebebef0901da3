package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

var errNoHandshake = errors.New("transport: no handshake was made: call Handshake first")

// runHandshake is the body of Handshake.
func (c *Conn) runHandshake(ctx context.Context) error {
	if err := c.config.check(); err != nil {
		c.fail(err)
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.fail(ctxerr.Of(ctx)) })
	stage, err := c.firstExchange(ctx)
	if spent := c.handshake.close(); !stop() || spent {
		<-c.done
		err = c.final.cause
	}
	if err == nil {
		if state := c.State(); c.config.WarnWeakCrypto != nil && !state.PostQuantum() {
			c.config.WarnWeakCrypto(state)
		}
		return nil
	}
	_ = c.reject(err)
	err = c.final.cause // after a Close of another goroutine, the read's error says less
	var protocol *ProtocolError
	var hostKey *HostKeyError
	var negotiation *NegotiationError
	var disconnect *DisconnectError
	var budget *BudgetError
	if errors.As(err, &protocol) || errors.As(err, &hostKey) || errors.As(err, &negotiation) || errors.As(err, &disconnect) ||
		errors.As(err, &budget) || errors.Is(err, ErrEarlyKeyExchange) {
		return err // says enough without the stage
	}
	return fmt.Errorf("transport: %s: %w", stage, err)
}

// firstExchange takes the connection from its first byte to its first keys. Our
// version and our KEXINIT leave in one flight, before the server has said anything,
// unless Config.WaitForVersion is set. stage is where an error has occurred.
func (c *Conn) firstExchange(ctx context.Context) (stage string, err error) {
	const version, exchange = "version exchange", "key exchange"
	select {
	case <-c.r.lock:
		defer c.stopReading()
		c.startWaiting()
	case <-c.done:
		return version, c.ended()
	}
	server := ""
	steps := []func() error{c.greet, func() error { server, err = c.readVersion(); return err }}
	if c.config.WaitForVersion {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return version, err
		}
	}
	c.mu.Lock()
	c.state.ClientVersion, c.state.ServerVersion = c.config.ClientVersion, server
	c.mu.Unlock()
	for {
		p, err := c.next()
		if err != nil {
			return exchange, err
		}
		switch p[0] {
		case msgKexInit:
			return exchange, c.exchange(ctx, p)
		case msgDisconnect:
			return exchange, parseDisconnect(p)
		case msgIgnore, msgDebug:
			// RFC 4253 section 7 allows these. In a strict key exchange the sequence
			// number of the KEXINIT will tell, and end the connection.
		default:
			return exchange, protocolErrorf("message %d before KEXINIT", p[0])
		}
	}
}

// greet sends our version, our first KEXINIT, and the first message of an early key
// exchange, if there is one.
func (c *Conn) greet() (err error) {
	init := ssh.Marshal(c.makeKexInit())
	first, err := c.beginEarly()
	if err != nil {
		return err
	}
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	c.w.greeted = true
	c.w.AppendVersion(c.config.ClientVersion + "\r\n")
	c.w.exchange.init = init
	if err := c.w.Seal(init); err != nil {
		return err
	}
	if first != nil {
		if err := c.w.Seal(first); err != nil {
			return err
		}
	}
	return c.w.Flush()
}
