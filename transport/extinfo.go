package transport

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxExtensions bounds the extensions of one EXT_INFO, as in OpenSSH.
const maxExtensions = 1024

// Extension returns a copy of the server's value of an extension of RFC 8308, for
// example "server-sig-algs". ok is false if the server has not named the extension.
// The server sends extensions right after its first NEWKEYS, so they are known once
// the first service was accepted; some come, or change, with the success of
// authentication.
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

// extension is an extension by name, with the server's value. There are few, and idle
// connections keep them: a map would be larger than all of them.
type extension struct {
	name  string
	value []byte
}

// handleExtInfo records the extensions, RFC 8308 section 2.3. The server may send them
// twice, and not after the success of authentication.
func (c *Conn) handleExtInfo(p []byte) error {
	if c.r.extInfos++; c.r.extInfos > 2 || c.authed.Load() {
		return protocolErrorf("EXT_INFO a third time, or after the success of authentication")
	}
	var m struct {
		Count uint32 `sshtype:"7"`
		Rest  []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(p, &m); err != nil {
		return protocolErrorf("malformed EXT_INFO: %v", err)
	}
	if m.Count > maxExtensions {
		return protocolErrorf("EXT_INFO with %d extensions, more than %d", m.Count, maxExtensions)
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
