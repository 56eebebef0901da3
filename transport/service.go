package transport

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// RequestService asks the server for a service, RFC 4253 section 10, without
// waiting for its answer: ReadPacket consumes that, so the first packets of
// the service may leave at once. It leaves together with the next packet, or
// when ReadPacket is called. Whatever comes for the service before it was
// accepted ends the connection. Only one request can be pending.
//
// It waits until the handshake is done, like WritePacket.
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
		return fmt.Errorf("transport: the request for %q is not answered yet", pending)
	}
	if err := c.holdService(ssh.Marshal(&serviceRequestMsg{Name: name})); err != nil {
		return err
	}
	if len(c.r.lock) == 0 { // somebody reads, and may have looked before
		return c.sendHeld()
	}
	return nil
}

// AwaitService waits until the server has accepted the service that was
// requested, for those who cannot send to it before. ReadPacket need not have
// this: it waits by itself.
func (c *Conn) AwaitService() error {
	if err := c.startReading(nil); err != nil {
		return err
	}
	defer c.stopReading()
	for c.servicePending() {
		p, err := c.next()
		if err == nil {
			_, err = c.dispatch(p) // which takes nothing for a service that is not accepted
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
	if err := c.w.seal(request, nil); err != nil {
		return err
	}
	c.w.hold()
	return nil
}

// handleServiceAccept matches the answer with the request.
func (c *Conn) handleServiceAccept(p []byte) error {
	var m serviceAcceptMsg
	if err := ssh.Unmarshal(p, &m); err != nil && len(p) > 1 {
		// Some old servers omit the name, which is as good as ours: there is
		// but one request.
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

// maxExtensions bounds the extensions of one EXT_INFO, as in OpenSSH.
const maxExtensions = 1024

// Extension returns a copy of what the server said about an extension of RFC
// 8308, such as "server-sig-algs". The server sends them right after its first
// NEWKEYS, so they are known once the first service was accepted; some come,
// or change, with the success of authentication.
func (c *Conn) Extension(name string) (value []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.exts {
		if e.name == name {
			return bytes.Clone(e.value), true
		}
	}
	return nil, false
}

// extension is what the server has said about one extension. There are few, and
// idle connections keep them: a map would be larger than all of it.
type extension struct {
	name  string
	value []byte
}

// handleExtInfo records the extensions, RFC 8308 section 2.3. The server may
// send them twice, and not after the success of authentication.
func (c *Conn) handleExtInfo(p []byte) error {
	if c.r.extInfos++; c.r.extInfos > 2 || c.authed.Load() {
		return protocolErrorf("EXT_INFO out of turn")
	}
	var m struct {
		Count uint32 `sshtype:"7"`
		Rest  []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(p, &m); err != nil {
		return protocolErrorf("malformed EXT_INFO: %v", err)
	}
	if m.Count > maxExtensions {
		return protocolErrorf("EXT_INFO with %d extensions", m.Count)
	}
	var exts []extension
	for range m.Count {
		var e struct {
			Name  string
			Value []byte
			Rest  []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(m.Rest, &e); err != nil {
			return protocolErrorf("malformed EXT_INFO: %v", err)
		}
		twice := slices.ContainsFunc(exts, func(other extension) bool { return other.name == e.Name })
		if twice || strings.ContainsRune(e.Name, 0) {
			return protocolErrorf("EXT_INFO with the extension name %q", clip(e.Name))
		}
		if e.Name == "server-sig-algs" && bytes.IndexByte(e.Value, 0) >= 0 {
			return protocolErrorf("EXT_INFO with a NUL in server-sig-algs")
		}
		exts = append(exts, extension{e.Name, bytes.Clone(e.Value)})
		m.Rest = e.Rest
	}
	if len(m.Rest) > 0 {
		return protocolErrorf("%d bytes behind EXT_INFO", len(m.Rest))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exts = exts // RFC 8308 section 2.4: the second message replaces the first
	return nil
}
