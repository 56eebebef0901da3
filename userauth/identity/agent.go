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

	"github.com/nacre-ssh/nacre/userauth"
)

// Bounds on an agent, those of OpenSSH.
const (
	maxAgentMessage = 256 << 10
	maxAgentKeys    = 2048
)

// agentPatience is how long an agent may take to say which keys it has. No
// person is asked about that.
const agentPatience = 10 * time.Second

// AgentSocket returns a function that connects to the agent at a Unix socket, or
// on Windows a named pipe, for [Config].Agent. The name is taken as it is.
func AgentSocket(name string) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dialAgent(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("identity: agent: %w", err)
		}
		return conn, nil
	}
}

// InProcess returns a function that connects to an agent within this program,
// such as agent.NewKeyring returns. Each connection has a goroutine, which ends
// when the connection is closed.
func InProcess(a agent.Agent) func(ctx context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		if a == nil {
			return nil, errors.New("identity: no agent in this process")
		}
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			// Until ours is closed, or says what is too much: it may be a server.
			_ = agent.ServeAgent(a, bounded(theirs))
		}()
		return ours, nil
	}
}

// agentConn is a connection to an agent. It belongs to one login.
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
	// Binding comes first: it also tells the agent which keys to list.
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

// newAgentConn makes a client without a goroutine: x/crypto's has one where it
// can close the connection.
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
		return fmt.Errorf("identity: the agent has not answered for %v: %w", agentPatience, err)
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
		return nil, errors.New("identity: the agent has no keys for this host: it is empty or locked, or they are for other hosts (ssh-add -l)")
	}
	// Damaged and unknown keys are kept: userauth says why it does not offer them.
	var keys []*agentKey
	for _, k := range listed {
		public, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			public = k // a type that x/crypto does not know
		}
		keys = append(keys, &agentKey{conn: a, public: public, comment: k.Comment})
	}
	return keys, nil
}

// agentKey is a key of the agent's as a signer.
type agentKey struct {
	conn    *agentConn
	public  ssh.PublicKey
	comment string
	file    *key // the same key from a file, nil if there is none
	refused bool // the agent has not signed, and it is up to the file
}

var (
	_ ssh.MultiAlgorithmSigner   = (*agentKey)(nil)
	_ userauth.InteractiveSigner = (*agentKey)(nil)
)

func (k *agentKey) PublicKey() ssh.PublicKey { return k.public }
func (k *agentKey) Algorithms() []string     { return algorithms(plain(k.public).Type()) }

// Interactive tells whether it is a key of a token, which wants to be touched, or
// one for which somebody has to be asked for the file's passphrase. Whether the
// agent asks its user for another reason, it does not say.
func (k *agentKey) Interactive() bool {
	return strings.HasPrefix(k.public.Type(), "sk-") || k.refused && k.file != nil && k.file.Interactive()
}

func (k *agentKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignContext(context.Background(), data, plain(k.public).Type())
}

// SignWithAlgorithm has the agent sign, or else the file if that needs nobody.
func (k *agentKey) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := k.askAgent(data, algorithm)
	if k.refused = err != nil; k.refused && !k.Interactive() {
		return k.askFile(context.Background(), data, algorithm, err)
	}
	return signature, err
}

// SignContext has the agent sign, or else the file that has the key too. The
// login closes the connection when its context ends, and so ends the wait.
func (k *agentKey) SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := k.askAgent(data, algorithm)
	if err != nil && ctx.Err() == nil {
		return k.askFile(ctx, data, algorithm, err)
	}
	return signature, err
}

// askAgent has the agent sign. It must be told that RSA goes with SHA-2, or signs
// with SHA-1; of other keys there is no choice.
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

// askFile has the file sign, if it has the private key. The agent has refused
// with err.
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

// refusal explains why there is no signature. The agent itself says nothing, but
// whether it still has the key can be found out.
func (k *agentKey) refusal(err error) error {
	listed, listErr := k.conn.List()
	switch {
	case k.conn.lost() != nil:
		return k.conn.lost()
	case listErr != nil:
		return fmt.Errorf("identity: the agent failed: %w", listErr)
	case !slices.ContainsFunc(listed, func(l *agent.Key) bool { return same(l, k.public) }):
		return fmt.Errorf("identity: the agent does not have %q any more: removed, expired, or the agent was locked", clip(k.comment))
	}
	return fmt.Errorf("identity: the agent did not sign with %q (%w): not confirmed (ssh-add -c), "+
		"not for this host (ssh-add -h), or a silent token", clip(k.comment), err)
}

// boundedConn is a connection without a Close, of which no long messages are read.
type boundedConn struct {
	*messages
	io.Writer
}

func bounded(conn net.Conn) boundedConn { return boundedConn{&messages{conn: conn}, conn} }

// messages is what an agent says, or who asks one, message by message.
type messages struct {
	conn net.Conn
	rest []byte // of the message that is being read
	err  error  // what ended the connection
}

// Read reads a message at once, and returns it in as many steps as needed.
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

// readMessage reads one message, and returns it with its length in front. No room
// is made before the length has been judged.
func readMessage(conn io.Reader) ([]byte, error) {
	message := make([]byte, 4)
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, unexpected(err)
	}
	length := binary.BigEndian.Uint32(message)
	if length == 0 || length > maxAgentMessage {
		return nil, fmt.Errorf("a message of %d bytes; there should be 1 to %d", length, maxAgentMessage)
	}
	message = append(message, make([]byte, length)...)
	_, err := io.ReadFull(conn, message[4:])
	return message, unexpected(err)
}

// unexpected makes an end of what it is: an answer was due.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
