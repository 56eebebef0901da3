package hostkeys

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// prover has a server prove that the server holds the private halves of keys.
type prover struct {
	conn      *connection.Conn
	sessionID []byte
	algorithm string // negotiated for the host key of the key exchange
}

// proofMsg is the text that the server signs, OpenSSH PROTOCOL section 2.5.
type proofMsg struct {
	Name      string
	SessionID []byte
	Key       []byte
}

// prove returns nil if the server has signed for every key. The server answers
// with as many signatures as keys, in the order of the keys.
func (p *prover) prove(ctx context.Context, keys []ssh.PublicKey) error {
	var payload []byte
	for _, k := range keys {
		payload = append(payload, ssh.Marshal(struct{ Key []byte }{k.Marshal()})...)
	}
	reply, err := p.conn.Request(ctx, proveRequest, payload)
	if err != nil {
		return err
	}
	for _, k := range keys {
		var m struct {
			Signature []byte
			Rest      []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(reply, &m); err != nil {
			return errors.New("hostkeys: a signature is missing in the server's proof")
		}
		reply = m.Rest
		signed := ssh.Marshal(&proofMsg{proveRequest, p.sessionID, k.Marshal()})
		if err := sshkey.Verify(k, p.formats(k), signed, m.Signature); err != nil {
			return fmt.Errorf("hostkeys: the server's proof of %s: %w", sshkey.Describe(k), err)
		}
	}
	if len(reply) > 0 {
		return errors.New("hostkeys: the server's proof has more signatures than keys")
	}
	return nil
}

// formats returns the signature formats that count for a key. An RSA key signs as
// in the key exchange, if the host key was an RSA key there. A certificate cannot
// be proven.
func (p *prover) formats(key ssh.PublicKey) []string {
	t, ok := sshkey.HostType(key.Type())
	if !ok {
		return nil
	}
	formats := sshkey.Signatures(t.Name)
	if negotiated, ok := sshkey.HostAlgorithm(p.algorithm); ok && slices.Contains(formats, negotiated.Signature) {
		return []string{negotiated.Signature}
	}
	return formats
}
