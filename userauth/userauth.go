// Package userauth proves to an SSH server who its user is: RFC 4252, with
// keyboard-interactive of RFC 4256 and gssapi-with-mic of RFC 4462.
//
// [Authenticate] offers the methods of a [Config] in their order until the
// server is content. It needs a [Transport] that has finished its key exchange,
// and leaves that transport ready for the connection protocol. No round trip is
// spent on asking what the server would accept: the service request and the
// first method's request leave together, and the server's first refusal says
// which methods remain. Where a server is known well, [Config] can save more:
// see LastKey, Probes and Early.
//
// Most programs set the methods in the configuration of package nacre and never
// call this package. Use it directly to authenticate over a transport of your
// own, or to write a [Method]: the methods here use nothing but the exported
// parts of [Exchange], so one written elsewhere can do all that they can.
package userauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode/utf8"
)

// The names of the services, RFC 4252 section 4 and RFC 4254 section 1.
const (
	serviceUserAuth   = "ssh-userauth"
	serviceConnection = "ssh-connection"
)

// Bounds on what the configuration may put on the wire.
const (
	maxUserBytes = 1024
	maxNameBytes = 64 // RFC 4251 section 6
)

// Transport is what authentication needs from the transport protocol. It is
// used by one goroutine at a time, but for Close. If it also has the method
// WritePackets(packets ...[]byte) error, which sends several messages at once,
// then that is used for what leaves in one flight. With HostKeyProof() (key
// ssh.PublicKey, signature []byte), the host key and the server's signature of the
// session identifier, signatures and agents can be bound to that server. If it has
// the method Done() <-chan struct{}, whose channel is closed when it ends,
// then that ends the context of the functions in [Config] as well.
// [Config].AwaitService takes one with the method AwaitService() error.
type Transport interface {
	// RequestService sends a service request and does not wait. ReadPacket
	// consumes the server's acceptance.
	RequestService(name string) error

	// ReadPacket returns the next message with a number of 50 or above. The
	// slice is valid until the next call.
	ReadPacket() ([]byte, error)

	// WritePacket sends one message and does not keep the slice.
	WritePacket(packet []byte) error

	// SessionID returns the exchange hash of the first key exchange.
	SessionID() []byte

	// Extension returns what the server said in an RFC 8308 extension, as far
	// as it has been read.
	Extension(name string) (value []byte, ok bool)

	// Close ends the transport and unblocks every other call. It may be called
	// at any time and more than once.
	Close() error
}

// Config says who is to be authenticated and how.
type Config struct {
	// User is the name on the server: 1 to 1024 bytes of UTF-8 without NUL.
	User string

	// Methods are tried in this order, and again from the top after each
	// partial success. One value may stand in the configurations of any number
	// of connections at once. At least one is required.
	Methods []Method

	// Banner, unless nil, is called with each text that the server wants shown
	// before login, RFC 4252 section 5.4. Control characters other than newline
	// and tab have been removed, and each text is cut at 16 KiB; what comes
	// after 32 texts or 64 KiB is dropped. Authentication waits for Banner.
	Banner func(message string)

	// Trace, unless nil, is called with each attempt when its result is known,
	// which is also how a program learns what the server accepted in the end: a
	// server may be content with less than it was prepared to be given.
	Trace func(attempt Attempt)

	// Probes is how many requests that only ask about a key may be under way
	// at once. RFC 4252 section 5.1 has every server answer them one after the
	// other, and not all do: set it for those that are known to. However many
	// it allows, no more are sent than could be refused without reaching
	// OpenSSH's limit, 6 by default; see [Error].Interrupted for servers whose
	// limit is lower. 0 is 1, and so is a negative number.
	Probes int

	// LastKey is the [KeyName] of the key that let the user in last time. The
	// method that has it offers it first, and with a signature at once unless
	// that needs a person. It is a hint: where nobody has that key, nothing
	// changes.
	LastKey string

	// Early, unless nil, has packets that leave together with the request that
	// the server is hoped to grant.
	Early *Early

	// AwaitService has the first request wait for the server's acceptance of the
	// service, which costs a round trip. Servers on libssh before 0.11.3 mistake
	// their state when both come at once. It takes a Transport that has the
	// method AwaitService() error.
	AwaitService bool

	// RequireFactors is how many proofs the server must have accepted when it
	// grants access: passwords, signatures, answered prompts. With 1, a success
	// without any of them is refused with [ErrTooFewFactors]: such a server may
	// go on to ask for a secret in a session that looks like a login. By default
	// nothing is demanded, for the server's key was verified before, and some
	// grant access to an address alone; Trace tells. Negative is 0.
	RequireFactors int

	// Service is what starts after authentication, by default "ssh-connection".
	Service string
}

// Authenticate offers config's methods to the server until it grants access,
// and returns nil then. At most 64 requests are made.
//
// Once anything has been sent, every error is an *[Error]: it says what was
// tried and leads to the causes. When ctx ends, t is closed and the error wraps
// ctx's error and its cause. After any other error t is as it was, but fit for
// nothing except Close. The functions in config run on the caller's goroutine.
func Authenticate(ctx context.Context, t Transport, config *Config) (err error) {
	l, err := newLogin(t, config)
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		t.Close()
	})
	defer func() {
		if !stop() {
			<-closed
		} else if ctx.Err() != nil {
			t.Close()
		} else {
			return
		}
		// Even a success is void now, for the transport is gone.
		err = l.failure(contextError(ctx))
	}()
	if ctx.Err() != nil {
		return l.failure(nil)
	}
	if err := t.RequestService(serviceUserAuth); err != nil {
		return l.failure(err)
	}
	if w, ok := t.(interface{ AwaitService() error }); ok && config.AwaitService {
		if err := w.AwaitService(); err != nil {
			return l.failure(err)
		}
	}
	untilEnd, cancel := l.untilEnd(ctx)
	defer cancel(nil)
	return l.run(untilEnd)
}

// errEnded is why a function of the user's was told to stop.
var errEnded = fmt.Errorf("the transport has ended: %w", net.ErrClosed)

// untilEnd returns a context for the functions of the user's: it ends with the
// transport too, if that tells.
func (l *login) untilEnd(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if t, ok := l.t.(interface{ Done() <-chan struct{} }); ok {
		go func() {
			select {
			case <-t.Done():
				cancel(errEnded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// contextError returns ctx's error, with its cause where that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// newLogin checks config before a byte is sent, and copies it.
func newLogin(t Transport, config *Config) (*login, error) {
	if config == nil {
		return nil, errors.New("userauth: no configuration")
	}
	l := &login{t: t, config: *config}
	if l.config.Early != nil {
		l.config.Early.Fate = Void
	}
	if l.config.Service == "" {
		l.config.Service = serviceConnection
	}
	switch user := config.User; {
	case user == "":
		return nil, errors.New("userauth: no user name")
	case len(user) > maxUserBytes:
		return nil, fmt.Errorf("userauth: user name of %d bytes, more than %d", len(user), maxUserBytes)
	case !utf8.ValidString(user) || strings.ContainsRune(user, 0):
		return nil, fmt.Errorf("userauth: user name %q is not UTF-8 without NUL", user)
	case !validName(l.config.Service):
		return nil, fmt.Errorf("userauth: service name %q is not allowed by RFC 4251 section 6", cut(l.config.Service))
	case len(config.Methods) == 0:
		return nil, errors.New("userauth: no methods")
	}
	for i, m := range config.Methods {
		if m == nil {
			return nil, fmt.Errorf("userauth: method %d is nil", i)
		}
		x, err := l.newExchange(m)
		if err != nil {
			return nil, fmt.Errorf("userauth: %w", err)
		}
		l.exchanges = append(l.exchanges, x)
	}
	for _, x := range l.exchanges {
		x.names = slices.DeleteFunc(x.names, func(name string) bool { return name != x.name && l.has(name) })
	}
	return l, nil
}

// newExchange returns the exchange of a method, whose names it checks.
func (l *login) newExchange(m Method) (*Exchange, error) {
	name := m.Name()
	names := []string{name}
	if s, ok := m.(interface{ Names() []string }); ok && name != "" {
		others := slices.DeleteFunc(slices.Clone(s.Names()), func(other string) bool { return other == name })
		names = append(names, others...)
	}
	for _, name := range names {
		if name != "" && !validName(name) {
			return nil, fmt.Errorf("method name %q is not allowed by RFC 4251 section 6", cut(name))
		}
	}
	return &Exchange{login: l, method: m, names: names, name: name}, nil
}

// has reports whether a method of that name is configured.
func (l *login) has(name string) bool {
	return slices.ContainsFunc(l.exchanges, func(x *Exchange) bool { return x.names[0] == name })
}

// validName reports whether name may stand in a name-list.
func validName(name string) bool {
	outside := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }
	return name != "" && len(name) <= maxNameBytes && !strings.ContainsFunc(name, outside)
}
