package identity_test

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// waits are all calls of this package that can wait, see waittest.
var waits = waittest.Calls{
	"Load, for the passphrase": asks(true, func(ctx context.Context, o *identity.Options) error {
		o.FS = fstest.MapFS{"key": {Data: hidden}}
		_, err := identity.Load(ctx, "key", o)
		return err
	}),
	"Parse, for the passphrase": asks(true, func(ctx context.Context, o *identity.Options) error {
		_, err := identity.Parse(ctx, "key", hidden, o)
		return err
	}),
	"key.SignContext, for the passphrase": asks(true, func(ctx context.Context, o *identity.Options) error {
		_, err := parse(o).SignContext(ctx, nil, ssh.KeyAlgoED25519)
		return err
	}),
	"key.SignContext, for its turn": asks(true, func(ctx context.Context, o *identity.Options) error {
		key := parse(o)
		go func() { _, _ = key.Sign(nil, nil) }()
		_, err := key.SignContext(ctx, nil, ssh.KeyAlgoED25519)
		return err
	}),
	"key.Sign": asks(false, func(_ context.Context, o *identity.Options) error {
		_, err := parse(o).Sign(nil, nil)
		return err
	}),
	"key.SignWithAlgorithm": asks(false, func(_ context.Context, o *identity.Options) error {
		_, err := parse(o).(ssh.AlgorithmSigner).SignWithAlgorithm(nil, nil, ssh.KeyAlgoED25519)
		return err
	}),

	"method.Try, for the connection to the agent": func(t *testing.T) waittest.Blocked {
		return waittest.Blocked{Context: true, Do: logsIn(func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})}
	},
	"method.Try, for the agent's keys": func(t *testing.T) waittest.Blocked {
		agent := silent(t, 11)
		return waittest.Blocked{Do: logsIn(agent.connect), Ends: []waittest.End{
			{Name: "patience", By: func() {}, After: 10 * time.Second, Want: []error{errRefused}},
			{Name: "loss of the agent", By: agent.hangUp, Want: []error{errRefused}},
		}}
	},
	"method.Try, for a signature": func(t *testing.T) waittest.Blocked {
		agent := silent(t, 13)
		return waittest.Blocked{Context: true, Do: logsIn(agent.connect), Ends: []waittest.End{
			{Name: "loss of the agent", By: agent.hangUp, Want: []error{io.ErrClosedPipe}},
		}}
	},
	"agentKey.Sign": agentSigns(func(s ssh.Signer) (*ssh.Signature, error) { return s.Sign(nil, nil) }),
	"agentKey.SignWithAlgorithm": agentSigns(func(s ssh.Signer) (*ssh.Signature, error) {
		return s.(ssh.AlgorithmSigner).SignWithAlgorithm(nil, nil, ssh.KeyAlgoED25519)
	}),
	"agentKey.SignContext": agentSigns(func(s ssh.Signer) (*ssh.Signature, error) {
		return s.(userauth.InteractiveSigner).SignContext(context.Background(), nil, ssh.KeyAlgoED25519)
	}),
	"messages.Read": agentSigns(func(s ssh.Signer) (*ssh.Signature, error) { return s.Sign(nil, nil) }),
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// hidden is a key file without a readable public key, and public0 the public key
// of another file. Nobody gives a passphrase for either.
var (
	hidden = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 16),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}})
	public0 = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()
)

// parse returns a key with a passphrase.
func parse(o *identity.Options) userauth.InteractiveSigner {
	key, err := ssh.NewPublicKey(public0)
	if err != nil {
		panic(err)
	}
	file := opensshKey{"aes256-ctr", "bcrypt", bcrypt(1), 1, key.Marshal(), make([]byte, 64)}.pem()
	signer, err := identity.Parse(context.Background(), "key", file, o)
	if err != nil {
		panic(err)
	}
	return signer.(userauth.InteractiveSigner)
}

// asks lets a call wait for a passphrase, and refuses in the end.
func asks(takesContext bool, do func(ctx context.Context, o *identity.Options) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		answer, refuse := context.WithCancel(context.Background())
		t.Cleanup(refuse)
		ask := func(ctx context.Context, _ *identity.PassphraseRequest) ([]byte, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-answer.Done():
				return nil, errNobody
			}
		}
		return waittest.Blocked{
			Do:      func(ctx context.Context) error { return do(ctx, &identity.Options{Passphrase: ask}) },
			Context: takesContext,
			Ends:    []waittest.End{{Name: "refusal", By: refuse, Want: []error{errNobody}}},
		}
	}
}

// silentAgent is an agent with a single key, and without answers to some requests.
type silentAgent struct {
	dial func(context.Context) (net.Conn, error)
	conn net.Conn // the last
}

func silent(t *testing.T, unanswered byte) *silentAgent {
	key, err := ssh.NewPublicKey(public0)
	require.NoError(t, err)
	list := append([]byte{12, 0, 0, 0, 1}, ssh.Marshal(struct{ Blob, Comment []byte }{key.Marshal(), nil})...)
	return &silentAgent{dial: fakeAgent(func(request []byte) []byte {
		if request[0] == unanswered {
			return nil
		}
		return reply(list)
	})}
}

func (a *silentAgent) connect(ctx context.Context) (conn net.Conn, err error) {
	a.conn, err = a.dial(ctx)
	return a.conn, err
}

func (a *silentAgent) hangUp() { a.conn.Close() }

// logsIn logs in with an agent to a server that lets nobody in.
func logsIn(connect func(context.Context) (net.Conn, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		err := userauth.Authenticate(ctx, refusing{}, &userauth.Config{
			User: "bob", Methods: []userauth.Method{identity.Method(&identity.Config{Agent: connect})},
		})
		return fmt.Errorf("%w: %w", errRefused, err)
	}
}

var errRefused = errors.New("not let in")

// agentSigns lets a call wait for a signature of the agent's.
func agentSigns(do func(s ssh.Signer) (*ssh.Signature, error)) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		agent := silent(t, 13)
		conn, err := agent.connect(t.Context())
		require.NoError(t, err)
		signer, err := identity.AgentSigner(conn)
		require.NoError(t, err)
		return waittest.Blocked{
			Do: func(context.Context) error {
				_, err := do(signer)
				return err
			},
			Ends: []waittest.End{{Name: "loss of the agent", By: agent.hangUp, Want: []error{io.ErrClosedPipe}}},
		}
	}
}
