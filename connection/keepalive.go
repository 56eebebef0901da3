package connection

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// keepAliveName is a request that no peer knows: the refusal is the sign of life.
const keepAliveName = "keepalive@openssh.com"

var keepAlivePacket = ssh.Marshal(&globalRequestMsg{Name: keepAliveName, WantReply: true})

// startKeepAlive needs no goroutine: a timer is all there is between two intervals.
func (c *Conn) startKeepAlive() {
	if c.config.KeepAliveInterval <= 0 {
		return
	}
	unanswered, answers := 0, uint32(0)
	tick := func() {
		heard := c.heard.Swap(0)
		if heard > 0 {
			unanswered = 0
		}
		switch {
		case heard > answers: // more than the answer to our own question
			answers = 0
		case unanswered >= c.config.KeepAliveCount:
			c.end(&KeepAliveError{Interval: c.config.KeepAliveInterval, Count: unanswered})
			return
		default:
			unanswered++
			answers = 1
			c.out.askAlive()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.ended {
			c.keepAlive.Reset(c.config.KeepAliveInterval)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.keepAlive = time.AfterFunc(c.config.KeepAliveInterval, tick)
	}
}

// hear counts a sign of life.
func (c *Conn) hear() {
	if c.heard.Load() < 2 {
		c.heard.Add(1)
	}
}

// askAlive makes the write loop ask when possible. The question counts as asked even while the
// peer reads nothing: that silence is no sign of life either.
func (o *outbox) askAlive() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepAlive = true
	o.run()
}
