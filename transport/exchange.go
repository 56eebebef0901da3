package transport

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nacre-ssh/nacre/transport/internal/kex"

	"golang.org/x/crypto/ssh"
)

// keyExchange is a key exchange, from the reader's point of view.
type keyExchange struct {
	*algorithms
	first                  bool
	clientInit, serverInit []byte   // payloads of the KEXINITs
	offered                []string // the server's methods that this package implements
	result                 *kex.Result
	key                    ssh.PublicKey // the host key
	hash, session          []byte        // the exchange hashes of this exchange and of the first
}

// exchange carries a key exchange from the server's KEXINIT to its NEWKEYS. The read
// lock is held. Writes from here do not deadlock: a server that has sent its KEXINIT
// reads, and sends nothing but its part of the exchange. HandshakeTimeout ends the
// wait for any other server.
func (c *Conn) exchange(ctx context.Context, serverInit []byte) error {
	x := &keyExchange{serverInit: bytes.Clone(serverInit), first: !c.r.keyed}
	kexInitSeq := c.r.Sequence()
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

// record publishes the results of the exchange.
func (c *Conn) record(x *keyExchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.first {
		c.session, c.proof = x.hash, bytes.Clone(x.result.Signature)
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

// agree negotiates the algorithms, and settles whether the exchange is strict.
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
	if a := c.early; x.first && a != nil && a.name != x.kex {
		return fmt.Errorf("%w: %q was expected, %q is agreed on", ErrEarlyKeyExchange, a.name, x.kex)
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

// runKex runs the negotiated method.
func (c *Conn) runKex(x *keyExchange) (*kex.Result, error) {
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
		var result *kex.Result
		if packet, result, err = method.Next(p); err != nil {
			return nil, protocolErrorf("%v", err)
		} else if result != nil {
			return result, nil
		}
	}
}

// readKex returns the next packet of the key exchange method, or NEWKEYS. In a strict
// first exchange nothing else may come. In any other, the messages that RFC 4253
// section 7.1 allows are passed over; in a re-exchange, messages of the layers above
// are kept.
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

// sendNewKeys sends our NEWKEYS and takes the new keys into use for sending, RFC 4253
// section 7.3.
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
	if err := w.Seal([]byte{msgNewKeys}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w.SetCipher(cipher, x.strict)
	w.since = time.Now()
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
	cipher, err := x.serverKeys()
	if err != nil {
		return err
	}
	c.r.SetCipher(cipher, x.strict)
	c.r.keyed, c.r.rekeyAsked = true, false
	return nil
}
