package transport

import (
	"fmt"

	"golang.org/x/crypto/ssh"
)

// RequestService asks the server for a service, RFC 4253 section 10, without waiting
// for the answer: ReadPacket consumes the answer, so the first packets of the service
// may leave at once. The request leaves together with the next packet, or when
// ReadPacket is called. A message of the service before the server has accepted the
// service ends the connection. A second request has to wait for the answer to the
// first.
//
// RequestService waits until the handshake is done, like WritePacket.
func (c *Conn) RequestService(name string) error {
	if err := c.alive(); err != nil {
		return err
	}
	c.mu.Lock()
	pending := c.service
	if pending == "" {
		c.service = name
	}
	c.mu.Unlock()
	if pending != "" {
		return fmt.Errorf("transport: service %q cannot be requested: the request for %q is not answered yet", name, pending)
	}
	if err := c.holdService(ssh.Marshal(&serviceRequestMsg{Name: name})); err != nil {
		return err
	}
	if len(c.r.lock) == 0 { // somebody reads, and has perhaps not seen the request
		return c.Flush()
	}
	return nil
}

// WaitService waits until the server has accepted the requested service, for callers
// that must not send to the service before. WaitService is not needed before a
// ReadPacket.
func (c *Conn) WaitService() error {
	if err := c.startReading(); err != nil {
		return err
	}
	defer c.stopReading()
	for c.servicePending() {
		p, err := c.next()
		if err == nil {
			_, err = c.dispatch(p) // refuses messages of the service
		}
		if err != nil {
			return c.reject(err)
		}
	}
	return nil
}

func (c *Conn) servicePending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.service != ""
}

func (c *Conn) holdService(request []byte) (err error) {
	if err := c.lockForData(); err != nil {
		return err
	}
	defer func() { err = c.unlockWriter(err) }()
	if err := c.w.Seal(request); err != nil {
		return err
	}
	c.w.Hold()
	return nil
}

// handleServiceAccept matches the answer with the request.
func (c *Conn) handleServiceAccept(p []byte) error {
	var m serviceAcceptMsg
	if err := ssh.Unmarshal(p, &m); err != nil && len(p) > 1 {
		// Some old servers omit the name. There is only one request to answer.
		return protocolErrorf("malformed SERVICE_ACCEPT: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service == "" || len(p) > 1 && m.Name != c.service {
		return protocolErrorf("service %q accepted, %q requested", clip(m.Name), c.service)
	}
	c.service = ""
	return nil
}
