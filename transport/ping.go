package transport

import "golang.org/x/crypto/ssh"

// handlePing answers a PING of OpenSSH PROTOCOL section 1.8, echoing the data. Before
// authentication there is no answer, as in OpenSSH since CVE-2025-26466.
func (c *Conn) handlePing(p []byte) error {
	var m pingMsg
	if err := ssh.Unmarshal(p, &m); err != nil {
		return protocolErrorf("malformed PING: %v", err)
	}
	if !c.authed.Load() {
		return nil
	}
	return c.owe(ssh.Marshal(&pongMsg{Data: m.Data}))
}
