package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

var errNoHandshake = errors.New("transport: no handshake was made")

// runHandshake is the body of Handshake.
func (c *Conn) runHandshake(ctx context.Context) error {
	if err := c.config.check(); err != nil {
		c.fail(err)
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.fail(contextError(ctx)) })
	stage, err := c.firstExchange(ctx)
	if spent := c.handshake.close(); !stop() || spent {
		<-c.done
		err = c.final.cause
	}
	if err == nil {
		return nil
	}
	_ = c.reject(err)
	err = c.final.cause // Close by another goroutine says more than the read that it made fail
	var protocol *ProtocolError
	var hostKey *HostKeyError
	var negotiation *NegotiationError
	var disconnect *DisconnectError
	var budget *BudgetError
	if errors.As(err, &protocol) || errors.As(err, &hostKey) || errors.As(err, &negotiation) || errors.As(err, &disconnect) ||
		errors.As(err, &budget) {
		return err // says enough by itself
	}
	return fmt.Errorf("transport: %s: %w", stage, err)
}

// firstExchange takes the connection from its first byte to its first keys.
// Our version and our KEXINIT leave in one flight, before the server has said
// anything, unless the config wants it otherwise. On error it tells in which stage that was.
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
			// Allowed by RFC 4253 section 7; with strict key exchange the
			// sequence number of the KEXINIT tells, and it is fatal.
		default:
			return exchange, protocolErrorf("message %d before KEXINIT", p[0])
		}
	}
}

// greet sends the version, our first KEXINIT, and the message that is
// anticipated, if there is one.
func (c *Conn) greet() (err error) {
	init := ssh.Marshal(c.makeKexInit())
	first, err := c.anticipate()
	if err != nil {
		return err
	}
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	c.w.greeted = true
	*c.w.buf = append(*c.w.buf, c.config.ClientVersion+"\r\n"...)
	c.w.exchange.init = init
	if err := c.w.seal(init, nil); err != nil {
		return err
	}
	if first != nil {
		if err := c.w.seal(first, nil); err != nil {
			return err
		}
	}
	return c.w.flush()
}

// anticipation is a run of a method that has begun before the server's KEXINIT
// has come. The flag of RFC 4253 section 7 stays unset, and this is not its
// guess: where the expectation holds, the method is the one that is agreed on,
// and its first message is due in any case.
type anticipation struct {
	name string
	kex  kex
}

// anticipate begins the method that will be agreed on if the server offers
// what is expected, and returns its first message; nil if nothing is.
func (c *Conn) anticipate() (first []byte, err error) {
	name := firstCommon(c.config.KeyExchanges, c.config.ServerKeyExchanges)
	if name == "" {
		return nil, nil
	}
	a := &anticipation{name: name, kex: kexMethods[name].new()}
	if first, err = a.kex.begin(); err == nil {
		c.anticipated = a
	}
	return first, err
}

// keyExchange is one exchange as the reader sees it.
type keyExchange struct {
	*algorithms
	first                  bool
	clientInit, serverInit []byte   // payloads of the KEXINITs
	offered                []string // the server's methods, as far as we have them
	result                 *kexResult
	key                    ssh.PublicKey // the host key
	hash, session          []byte        // the exchange hash H, and that of the first exchange
}

// exchange carries one key exchange from the server's KEXINIT to its NEWKEYS.
// The read lock is held. Since the server has sent its KEXINIT, it reads, and
// should send nothing but its part of the exchange: writing to it from here does
// not deadlock. If it does all the same, HandshakeTimeout ends that.
func (c *Conn) exchange(ctx context.Context, serverInit []byte) error {
	x := &keyExchange{serverInit: bytes.Clone(serverInit), first: !c.r.keyed}
	kexInitSeq := c.r.seq - 1
	var err error
	if x.clientInit, err = c.ourKexInit(); err != nil {
		return err
	}
	if err := c.agree(x, kexInitSeq); err != nil {
		return err
	}
	if x.result, err = c.runKex(x); err != nil {
		return err
	}
	if err := c.verifyHost(ctx, x); err != nil {
		return err
	}
	c.record(x)
	if err := c.sendNewKeys(x); err != nil {
		return err
	}
	if err := c.readNewKeys(x); err != nil {
		return err
	}
	c.countExchange()
	return nil
}

// record publishes what the exchange has settled.
func (c *Conn) record(x *keyExchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.first {
		c.session, c.proof = x.hash, bytes.Clone(x.result.signature)
	}
	x.session = c.session
	s := &c.state
	s.KeyExchange, s.HostKeyAlgorithm, s.HostKey = x.kex, x.hostKey, x.key
	s.ClientCipher, s.ClientMAC = x.clientCipher, x.clientMAC
	s.ServerCipher, s.ServerMAC = x.serverCipher, x.serverMAC
	s.StrictKex = x.strict
	if x.first {
		s.ServerKeyExchanges = x.offered
	}
}

// agree negotiates, and settles whether the exchange is strict.
func (c *Conn) agree(x *keyExchange, kexInitSeq uint32) error {
	ours, err := parseKexInit(x.clientInit)
	if err != nil {
		return err
	}
	theirs, err := parseKexInit(x.serverInit)
	if err != nil {
		return err
	}
	if x.algorithms, err = negotiate(ours, theirs); err != nil {
		return err
	}
	if !x.first {
		x.strict = c.State().StrictKex
	} else if x.strict && kexInitSeq != 0 {
		return protocolErrorf("strict key exchange violated: KEXINIT is not the server's first packet")
	} else if !x.strict && c.config.RequireStrictKex {
		return &NegotiationError{Kind: "strict key exchange", Ours: []string{strictClient}, Theirs: theirs.KexAlgorithms}
	}
	x.offered = slices.DeleteFunc(slices.Clone(defaultKeyExchanges), func(name string) bool {
		return !slices.Contains(theirs.KexAlgorithms, name)
	})
	if a := c.anticipated; x.first && a != nil && a.name != x.kex {
		return fmt.Errorf("%w: %q was expected, and %q is agreed on", ErrAnticipation, a.name, x.kex)
	}
	if x.wrongGuess {
		p, err := c.readKex(x)
		if err == nil && p[0] == msgNewKeys {
			err = protocolErrorf("NEWKEYS instead of a guessed message")
		}
		return err
	}
	return nil
}

// runKex runs the method that was agreed on.
func (c *Conn) runKex(x *keyExchange) (*kexResult, error) {
	method, packet, err := c.beginKex(x)
	if err != nil {
		return nil, err
	}
	for {
		if packet != nil {
			if err := c.sendNow(packet); err != nil {
				return nil, err
			}
		}
		p, err := c.readKex(x)
		if err != nil {
			return nil, err
		}
		var result *kexResult
		if packet, result, err = method.next(p); err != nil || result != nil {
			return result, err
		}
	}
}

// beginKex returns the method and its first message, nil if that has left with
// our KEXINIT.
func (c *Conn) beginKex(x *keyExchange) (method kex, first []byte, err error) {
	if a := c.anticipated; a != nil {
		c.anticipated = nil
		return a.kex, nil, nil
	}
	method = kexMethods[x.kex].new()
	first, err = method.begin()
	return method, first, err
}

// readKex returns the next packet of the key exchange method, or NEWKEYS. In a
// strict first exchange nothing else may come; otherwise the messages that RFC
// 4253 section 7.1 allows are passed over, and in a re-exchange those of the
// layers above are kept.
func (c *Conn) readKex(x *keyExchange) ([]byte, error) {
	for {
		p, err := c.next()
		if err != nil {
			return nil, err
		}
		switch n := p[0]; {
		case n == msgDisconnect:
			return nil, parseDisconnect(p)
		case n == msgNewKeys || n >= msgKexFirst && n <= msgKexLast:
			return p, nil
		case x.first && x.strict:
			return nil, protocolErrorf("strict key exchange violated: message %d during the exchange", n)
		case n == msgIgnore || n == msgDebug || n == msgUnimplemented:
		case !x.first && c.authed.Load() && n >= msgUpperFirst && n <= msgUpperLast:
			if err := c.r.postpone(p); err != nil {
				return nil, err
			}
		default:
			return nil, protocolErrorf("message %d during a key exchange", n)
		}
	}
}

// sendNewKeys sends our NEWKEYS and takes the new keys into use for sending,
// RFC 4253 section 7.3.
func (c *Conn) sendNewKeys(x *keyExchange) (err error) {
	cipher, err := x.clientKeys()
	if err != nil {
		return err
	}
	if err := c.lockWriter(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	w := &c.w
	if err := w.seal([]byte{msgNewKeys}, nil); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.cipher, w.usage, w.since = cipher, usage{}, time.Now()
	if x.strict {
		w.seq = 0
	}
	close(w.exchange.over)
	w.exchange = nil
	return nil
}

// readNewKeys waits for the server's NEWKEYS and takes the new keys into use
// for receiving.
func (c *Conn) readNewKeys(x *keyExchange) error {
	p, err := c.readKex(x)
	if err != nil {
		return err
	}
	if p[0] != msgNewKeys || len(p) != 1 {
		return protocolErrorf("message %d of %d bytes where NEWKEYS is due", p[0], len(p))
	}
	r := &c.r
	if r.cipher, err = x.serverKeys(); err != nil {
		return err
	}
	r.keyed, r.usage, r.rekeyAsked = true, usage{}, false
	if x.strict {
		r.seq = 0
	}
	return nil
}
