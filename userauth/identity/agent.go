package identity

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/userauth"
)

// These bounds limit an agent, as in OpenSSH.
const (
	maxAgentMessage = 256 << 10
	maxAgentKeys    = 2048
)

// agentPatience is how long an agent may take to list keys, for which no person
// is asked.
const agentPatience = 10 * time.Second

// AgentSocket returns a function that connects to the agent at a Unix socket, or
// on Windows a named pipe, for [Config].Agent. The name is not expanded.
func AgentSocket(name string) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dialAgent(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("identity: agent: %w", ctxerr.Join(ctx, err))
		}
		return conn, nil
	}
}

// InProcess returns a function that connects to an agent within this program, for
// example of agent.NewKeyring. Each connection has a goroutine, which ends when
// the connection is closed.
func InProcess(a agent.Agent) func(ctx context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		if a == nil {
			return nil, errors.New("identity: no agent in this process")
		}
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			// Ends when ours is closed, or sends too long a message: the other end
			// may be a server, to which the agent is forwarded.
			_ = agent.ServeAgent(a, bounded(theirs))
		}()
		return ours, nil
	}
}

// agentConn is a connection to an agent, and belongs to one login.
type agentConn struct {
	agent.ExtendedAgent
	messages *messages
}

// askAgent connects to the agent for this login, and returns its keys.
func (m *method) askAgent(ctx context.Context, x *userauth.Exchange) ([]*agentKey, error) {
	conn, err := m.config.Agent(ctx)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(agentPatience)); err != nil {
		return nil, fmt.Errorf("identity: agent: %w", err)
	}
	// Binding comes first, because the agent lists only keys for the bound host.
	a := newAgentConn(conn)
	if hostKey, signature := x.HostKeyProof(); hostKey != nil {
		if err := a.bind(hostKey, x.SessionID(), signature, false); err != nil {
			return nil, err
		}
	}
	keys, err := a.keys()
	if err != nil {
		return nil, err
	}
	return keys, conn.SetDeadline(time.Time{}) // people may be asked about signatures
}

// newAgentConn makes a client without a goroutine: the client of x/crypto starts
// a goroutine only for a connection with a Close.
func newAgentConn(conn net.Conn) *agentConn {
	c := bounded(conn)
	return &agentConn{agent.NewClient(c), c.messages}
}

// lost explains why there was no answer, or returns nil.
func (a *agentConn) lost() error {
	switch err := a.messages.err; {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("identity: the agent did not answer within %v: %w", agentPatience, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("identity: the agent hung up: %w", err)
	default:
		return fmt.Errorf("identity: agent: %w", err)
	}
}

// keys lists the keys of the agent.
func (a *agentConn) keys() ([]*agentKey, error) {
	listed, err := a.List()
	switch {
	case a.lost() != nil:
		return nil, a.lost()
	case err != nil:
		return nil, fmt.Errorf("identity: the agent's list of keys: %w", err)
	case len(listed) > maxAgentKeys:
		return nil, fmt.Errorf("identity: the agent has %d keys, more than %d", len(listed), maxAgentKeys)
	case len(listed) == 0:
		return nil, errors.New("identity: the agent has no keys for this host: the agent is empty or locked, or its keys are for other hosts (ssh-add -l)")
	}
	// Damaged and unknown keys are kept: userauth records why they are not offered.
	var keys []*agentKey
	for _, k := range listed {
		public, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			public = k // of a type unknown to x/crypto
		}
		keys = append(keys, &agentKey{conn: a, public: public, comment: k.Comment})
	}
	return keys, nil
}

// agentKey is a signer whose key the agent has.
type agentKey struct {
	conn    *agentConn
	public  ssh.PublicKey
	comment string
	file    *key // the same key from a file, or nil
	refused bool // the agent has not signed, so the file is next
}

var (
	_ ssh.MultiAlgorithmSigner   = (*agentKey)(nil)
	_ userauth.InteractiveSigner = (*agentKey)(nil)
)

func (k *agentKey) PublicKey() ssh.PublicKey { return k.public }
func (k *agentKey) Algorithms() []string     { return algorithms(sshkey.Plain(k.public).Type()) }

// Interactive reports whether the key is of a token, which wants a touch, or
// needs the passphrase of its file. An agent does not say whether a signature
// needs the user's confirmation.
func (k *agentKey) Interactive() bool {
	return strings.HasPrefix(k.public.Type(), "sk-") || k.refused && k.file != nil && k.file.Interactive()
}

func (k *agentKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignContext(context.Background(), data, sshkey.Plain(k.public).Type())
}

// SignWithAlgorithm lets the agent sign, or else the file if no person is needed.
func (k *agentKey) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := k.askAgent(data, algorithm)
	if k.refused = err != nil; k.refused && !k.Interactive() {
		return k.askFile(context.Background(), data, algorithm, err)
	}
	return signature, err
}

// SignContext lets the agent sign, or else the file with the same key. The wait
// for the agent ends with the login, which closes the connection.
func (k *agentKey) SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := k.askAgent(data, algorithm)
	switch {
	case err == nil:
		return signature, nil
	case ctx.Err() != nil:
		return nil, ctxerr.Of(ctx)
	}
	return k.askFile(ctx, data, algorithm, err)
}

// askAgent lets the agent sign. Without a flag an agent signs with SHA-1 for RSA;
// other keys have no flags.
func (k *agentKey) askAgent(data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	signature, err := k.conn.SignWithFlags(k.public, data, flags)
	if err != nil {
		return nil, k.refusal(err)
	}
	return signature, nil
}

// askFile lets the file sign, if the private key is in the file. err is the
// agent's refusal.
func (k *agentKey) askFile(ctx context.Context, data []byte, algorithm string, err error) (*ssh.Signature, error) {
	if k.file == nil || k.file.secret.missing != nil {
		return nil, err
	}
	signature, fileErr := k.file.SignContext(ctx, data, algorithm)
	if fileErr != nil {
		return nil, fmt.Errorf("%w; %w", err, fileErr)
	}
	return signature, nil
}

// refusal explains why there is no signature. An agent gives no reason, but the
// list of keys shows whether the agent still has the key.
func (k *agentKey) refusal(err error) error {
	listed, listErr := k.conn.List()
	switch {
	case k.conn.lost() != nil:
		return k.conn.lost()
	case listErr != nil:
		return fmt.Errorf("identity: the agent failed: %w", listErr)
	case !slices.ContainsFunc(listed, func(l *agent.Key) bool { return sshkey.Equal(l, k.public) }):
		return fmt.Errorf("identity: the agent no longer has %q: the key was removed or has expired, or the agent was locked", clip(k.comment))
	}
	return fmt.Errorf("identity: the agent did not sign with %q (%w): the signature was not confirmed (ssh-add -c), "+
		"the key is for other hosts (ssh-add -h), or the token did not answer", clip(k.comment), err)
}

// boundedConn is a connection without a Close and with a bound on messages read.
type boundedConn struct {
	*messages
	io.Writer
}

func bounded(conn net.Conn) boundedConn { return boundedConn{&messages{conn: conn}, conn} }

// messages reads the messages of an agent, or of a client of one.
type messages struct {
	conn net.Conn
	rest []byte // of the current message
	err  error  // why the connection ended
}

// Read reads a whole message, and returns the message in as many steps as needed.
func (m *messages) Read(p []byte) (int, error) {
	if len(m.rest) == 0 && m.err == nil {
		m.rest, m.err = readMessage(m.conn)
	}
	if m.err != nil {
		return 0, m.err
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// readMessage reads a message, and returns the message with its length in front.
// No memory is allocated before the length has been checked.
func readMessage(conn io.Reader) ([]byte, error) {
	message := make([]byte, 4)
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, unexpected(err)
	}
	length := binary.BigEndian.Uint32(message)
	if length == 0 || length > maxAgentMessage {
		return nil, fmt.Errorf("message of %d bytes is not within 1 to %d", length, maxAgentMessage)
	}
	message = append(message, make([]byte, length)...)
	_, err := io.ReadFull(conn, message[4:])
	return message, unexpected(err)
}

// unexpected turns an EOF into io.ErrUnexpectedEOF, because an answer was due.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
