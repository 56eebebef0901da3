package userauth_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/userauth"
)

// waits are all calls of this package that can wait, see waittest. A Banner or a
// Trace has no context, and may hold a login.
var waits = waittest.Calls{
	"Authenticate, for the service":          logsIn(stuckInService, userauth.None()),
	"Authenticate, for the request to leave": logsIn(stuckInWrite, userauth.None()),
	"none.Try":                               logsIn(stuckInRead, userauth.None()),
	"passwords.Try":                          logsIn(stuckInRead, userauth.Password("secret")),
	"passwords.Try, for a new password": logsIn(stuckInFunc, userauth.PasswordChange(constant("secret"),
		func(ctx context.Context, _ int, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})),
	"passwords.Try, for the function": logsIn(stuckInFunc, userauth.PasswordFunc(func(ctx context.Context, _ int) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})),
	"publicKeys.Try": func(t *testing.T) waittest.Blocked {
		return logsIn(stuckInRead, userauth.PublicKeys(ed25519Signer(t), ed25519Signer(t)))(t)
	},
	"publicKeys.Try, for the function": logsIn(stuckInFunc, userauth.PublicKeysFunc(func(ctx context.Context) ([]ssh.Signer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})),
	"publicKeys.Try, for a signer": func(t *testing.T) waittest.Blocked {
		never := newNever(t)
		key := ed25519Signer(t).PublicKey()
		return logsIn(stuckInFunc, userauth.PublicKeys(fakeSigner{key, func([]byte, string) (*ssh.Signature, error) {
			<-never
			return nil, errBroken
		}}))(t)
	},
	"publicKeys.Try, for an agent": func(t *testing.T) waittest.Blocked {
		return logsIn(stuckInFunc, userauth.Agent(stuckAgent{never: newNever(t)}))(t)
	},
	"keyboardInteractive.Try": logsIn(stuckInRead, userauth.KeyboardInteractive(nil)),
	"keyboardInteractive.Try, for the function": logsIn(stuckInFunc, userauth.KeyboardInteractive(
		func(ctx context.Context, _ userauth.Challenge) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})),

	"choose.Try": logsIn(stuckInRead, userauth.Choose(func(context.Context, userauth.Progress) (userauth.Method, error) {
		return userauth.None(), nil
	})),
	"choose.Try, for the function": logsIn(stuckInFunc, userauth.Choose(
		func(ctx context.Context, _ userauth.Progress) (userauth.Method, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})),
	"hostbased.Try": func(t *testing.T) waittest.Blocked {
		return logsIn(stuckInRead, userauth.Hostbased("h", "u", ed25519Signer(t)))(t)
	},
	"hostbased.Try, for a signer": func(t *testing.T) waittest.Blocked {
		never := newNever(t)
		key := ed25519Signer(t).PublicKey()
		return logsIn(stuckInFunc, userauth.Hostbased("h", "u", fakeSigner{key, func([]byte, string) (*ssh.Signature, error) {
			<-never
			return nil, errBroken
		}}))(t)
	},
	"gssapi.Try": logsIn(stuckInRead, userauth.GSSAPIWithMIC(&mechanism{}, "h")),
	"gssapi.Try, for the client": func(t *testing.T) waittest.Blocked {
		hangs := make(chan struct{})
		t.Cleanup(func() { close(hangs) })
		return logsIn(stuckInFunc, userauth.GSSAPIWithMIC(&mechanism{steps: 1, hangs: hangs}, "h"))(t)
	},

	"Exchange.Request": logsIn(stuckInRead, asking(func(x *userauth.Exchange) (userauth.Reply, error) { return x.Request(nil) })),
	"Exchange.Prove":   logsIn(stuckInRead, asking(func(x *userauth.Exchange) (userauth.Reply, error) { return x.Prove(nil) })),
	"Exchange.Requests": logsIn(stuckInRead, asking(func(x *userauth.Exchange) (userauth.Reply, error) {
		_, err := x.Requests(nil, nil)
		return userauth.Reply{}, err
	})),
	"Exchange.Send": logsIn(stuckInRead, asking(func(x *userauth.Exchange) (userauth.Reply, error) { return x.Send([]byte{60}) })),
	"Exchange.Tell": logsIn(stuckInWrite, asking(func(x *userauth.Exchange) (userauth.Reply, error) {
		return userauth.Reply{}, x.Tell([]byte{60})
	})),
	"Exchange.Delegate": logsIn(stuckInRead, asking(func(x *userauth.Exchange) (userauth.Reply, error) {
		return x.Delegate(context.Background(), userauth.None())
	})),
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// newNever returns a channel that is closed at the end of the test.
func newNever(t *testing.T) <-chan struct{} {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	return never
}

// stuckAgent does not answer.
type stuckAgent struct {
	agent.Agent
	never <-chan struct{}
}

func (s stuckAgent) Signers() ([]ssh.Signer, error) {
	<-s.never
	return nil, errBroken
}

// asking is a method made of a single call.
type asking func(x *userauth.Exchange) (userauth.Reply, error)

func (asking) Name() string { return "asking@example.com" }

func (a asking) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) { return a(x) }

// Where a login gets stuck: in a method of the transport's, or in a function of
// the user's.
const (
	stuckInService = iota
	stuckInWrite
	stuckInRead
	stuckInFunc
)

// stuckTransport is a transport that waits for ever in a method.
type stuckTransport struct {
	*peer
	where int
	once  sync.Once
	done  chan struct{}
	err   error // valid after done
}

func (s *stuckTransport) wait(where int) error {
	if s.where == where {
		<-s.done
		return s.err
	}
	return nil
}

func (s *stuckTransport) WaitService() error { return s.wait(stuckInService) }

func (s *stuckTransport) WritePacket(packet []byte) error {
	if err := s.wait(stuckInWrite); err != nil {
		return err
	}
	return s.peer.WritePacket(packet)
}

func (s *stuckTransport) ReadPacket() ([]byte, error) {
	if err := s.wait(stuckInRead); err != nil {
		return nil, err
	}
	return s.peer.ReadPacket()
}

func (s *stuckTransport) Done() <-chan struct{} { return s.done }

func (s *stuckTransport) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

func (s *stuckTransport) Close() error {
	s.end(net.ErrClosed)
	return nil
}

// logsIn lets a login wait. The loss of the connection is noticed by reads and
// writes, but not while a function of the user's is called.
func logsIn(where int, m userauth.Method) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		s := &stuckTransport{where: where, done: make(chan struct{}), peer: newPeer(func(packet []byte) [][]byte {
			var r request
			_ = ssh.Unmarshal(packet, &r) // if the packet is a request
			switch r.Method {
			case "password":
				return [][]byte{demand("expired")}
			case "gssapi-with-mic":
				return [][]byte{gssResponse(kerberos)}
			}
			return [][]byte{infoRequest("", "", "Password: ")}
		})}
		lost := errors.New("lost")
		ends := []waittest.End{
			{Name: "Close of the transport", By: func() { s.Close() }, Want: []error{net.ErrClosed}},
			{Name: "loss of the connection", By: func() { s.end(lost) }, Want: []error{lost}},
		}
		if where == stuckInFunc {
			ends = ends[:1]
		}
		return waittest.Blocked{Context: true, Ends: ends, Do: func(ctx context.Context) error {
			return userauth.Authenticate(ctx, s, &userauth.Config{User: "bob", Methods: []userauth.Method{m}, WaitService: true})
		}}
	}
}
