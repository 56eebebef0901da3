package nacre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/transport"
)

// OpenSSH PROTOCOL section 2.5: the server announces its host keys, and proves
// that it has those which are new to the client.
const (
	hostKeysRequest = "hostkeys-00@openssh.com"
	proveRequest    = "hostkeys-prove-00@openssh.com"

	// maxHostKeys bounds an announcement; a longer one is passed over.
	maxHostKeys = 256
)

// hostKeyLearner and hostKeyUpdater are what Config.HostKey may be beside a
// verifier.
type hostKeyLearner interface {
	LearnHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

type hostKeyUpdater interface {
	UpdateHostKeys(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey,
		announced []ssh.PublicKey, prove func(ctx context.Context, keys []ssh.PublicKey) error) error
}

// learnHostKey tells the verifier that its key belongs to a server that has let
// the user in.
func (s *stack) learnHostKey(ctx context.Context) error {
	learner, ok := s.config.HostKey.(hostKeyLearner)
	if !ok {
		return nil
	}
	key := s.transport.State().HostKey
	if err := learner.LearnHostKey(ctx, s.to.addr, s.transport.RemoteAddr(), key); err != nil {
		return &Error{Op: "handshake", Addr: s.to.addr, Err: &transport.HostKeyError{Addr: s.to.addr, Key: key, Err: err}}
	}
	return nil
}

// startConn starts the connection layer when nothing was sent early.
func (s *stack) startConn() *connection.Conn {
	if _, ok := s.config.HostKey.(hostKeyUpdater); !ok {
		return s.newConn(s.transport)
	}
	g := newGate(s.transport)
	conn := s.newConn(g)
	_ = g.letThrough(context.Background(), true) // there is nothing to send
	return conn
}

// newConn starts the connection layer over t. Where host keys may be announced,
// t is a gate, so that nothing is read before there is a handler for that.
func (s *stack) newConn(t connection.Transport) *connection.Conn {
	conn := connection.New(t, &s.config.Connection)
	updater, ok := s.config.HostKey.(hostKeyUpdater)
	if !ok {
		return conn
	}
	state, remote := s.transport.State(), s.transport.RemoteAddr()
	prover := &hostKeyProver{conn: conn, sessionID: s.transport.SessionID(), algorithm: state.HostKeyAlgorithm}
	var announced atomic.Bool
	conn.HandleRequest(hostKeysRequest, func(ctx context.Context, r *connection.Request) ([]byte, bool) {
		keys, ok := parseHostKeys(r.Payload)
		if !ok || announced.Swap(true) {
			return nil, false
		}
		// A person may be asked, and further requests must not wait for that. It
		// ends with the connection. Whoever wants to know about errors has told
		// the verifier.
		go func() { _ = updater.UpdateHostKeys(ctx, s.to.addr, remote, state.HostKey, keys, prover.prove) }()
		return nil, true
	})
	return conn
}

// parseHostKeys passes over keys that are not understood, as the protocol asks
// for.
func parseHostKeys(payload []byte) (keys []ssh.PublicKey, ok bool) {
	for n := 0; len(payload) > 0; n++ {
		var m struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if n == maxHostKeys || ssh.Unmarshal(payload, &m) != nil {
			return nil, false
		}
		payload = m.Rest
		if key, err := ssh.ParsePublicKey(slices.Clone(m.Key)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, true
}

// hostKeyProver has a server prove that it holds the private halves of keys.
type hostKeyProver struct {
	conn      *connection.Conn
	sessionID []byte
	algorithm string // that was negotiated for the host key
}

// proofMsg is what the server signs.
type proofMsg struct {
	Name      string
	SessionID []byte
	Key       []byte
}

func (p *hostKeyProver) prove(ctx context.Context, keys []ssh.PublicKey) error {
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
			return errors.New("a signature is missing")
		}
		reply = m.Rest
		if err := p.verify(k, m.Signature); err != nil {
			return fmt.Errorf("signature of %s %s: %w", k.Type(), ssh.FingerprintSHA256(k), err)
		}
	}
	if len(reply) > 0 {
		return errors.New("there are more signatures than keys")
	}
	return nil
}

func (p *hostKeyProver) verify(key ssh.PublicKey, signature []byte) error {
	var s ssh.Signature
	if err := ssh.Unmarshal(signature, &s); err != nil {
		return err
	}
	if formats := p.formats(key); !slices.Contains(formats, s.Format) {
		return fmt.Errorf("it is made with %.50q instead of %s", s.Format, strings.Join(formats, " or "))
	}
	if len(s.Rest) > 0 && !strings.HasPrefix(s.Format, "sk-") {
		return fmt.Errorf("%d bytes too many", len(s.Rest))
	}
	return key.Verify(ssh.Marshal(&proofMsg{proveRequest, p.sessionID, key.Marshal()}), &s)
}

// formats are the signatures that count. RSA keys sign as in the key exchange
// if that was done with RSA, and never with SHA-1.
func (p *hostKeyProver) formats(key ssh.PublicKey) []string {
	if key.Type() != ssh.KeyAlgoRSA {
		return []string{key.Type()}
	}
	switch p.algorithm {
	case ssh.KeyAlgoRSASHA512, ssh.CertAlgoRSASHA512v01:
		return []string{ssh.KeyAlgoRSASHA512}
	case ssh.KeyAlgoRSASHA256, ssh.CertAlgoRSASHA256v01:
		return []string{ssh.KeyAlgoRSASHA256}
	}
	return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
}
