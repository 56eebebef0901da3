package transport

import "github.com/nacre-ssh/nacre/transport/internal/kex"

// earlyKeyExchange is a run of a method that begins before the server's KEXINIT has
// come. Our first_kex_packet_follows stays unset, because the message is not a guess
// in the sense of RFC 4253 section 7: if the server offers the expected methods, this
// method is agreed on, and its first message is due in any case.
type earlyKeyExchange struct {
	name string
	kex  kex.Method
}

// beginEarly begins the method that will be agreed on if the server offers
// Config.ServerKeyExchanges, and returns its first message: nil without a common
// method.
func (c *Conn) beginEarly() (first []byte, err error) {
	name := firstCommon(c.config.KeyExchanges, c.config.ServerKeyExchanges)
	if name == "" {
		return nil, nil
	}
	a := &earlyKeyExchange{name: name, kex: kex.New(name)}
	if first, err = a.kex.Begin(); err == nil {
		c.early = a
	}
	return first, err
}

// beginKex returns the method and its first message. The message is nil if it has left
// with our KEXINIT.
func (c *Conn) beginKex(x *keyExchange) (method kex.Method, first []byte, err error) {
	if a := c.early; a != nil {
		c.early = nil
		return a.kex, nil, nil
	}
	method = kex.New(x.kex)
	first, err = method.Begin()
	return method, first, err
}
