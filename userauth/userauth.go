// Package userauth proves to an SSH server who its user is: RFC 4252, with
// keyboard-interactive of RFC 4256 and gssapi-with-mic of RFC 4462.
//
// [Authenticate] offers the methods of a [Config] in order until the server
// grants access. A [Transport] whose key exchange is done goes in, and comes out
// ready for the connection protocol. The service request and the first request
// leave together, and the server's first refusal lists the methods that remain.
// LastKey, Probes and Early save round trips with a server that is known well.
//
// Most programs set the methods in the configuration of package nacre and never
// call this package. Use userauth directly over a transport of your own, or to
// write a [Method]: the methods here use only the exported parts of [Exchange].
//
// The rooms: config.go has Config and its checks; transport.go the layer below;
// login.go the state of a login, and its walk through the methods; exchange.go
// the view of a method; flight.go the packets of a login and their answers;
// early.go the packets behind a request; errors.go and attempt.go the report.
// Each method has a file of its own name. publickey goes on in offering.go, which
// picks the next key, candidate.go, algorithm.go and keytype.go.
package userauth

import (
	"context"
	"fmt"
	"net"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// The names of the services, RFC 4252 section 4 and RFC 4254 section 1.
const (
	serviceUserAuth   = "ssh-userauth"
	serviceConnection = "ssh-connection"
)

// Authenticate offers config's methods to the server until the server grants
// access, and returns nil then. A login makes 64 requests at most.
//
// Once anything has been sent, every error is an *[Error]: the error lists the
// attempts and wraps the causes. When ctx ends, t is closed and the error wraps
// ctx's error and cause. After any other error but ErrTooFewFactors t is still open, and fit for
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
		// The transport is closed, so even a success is worth nothing.
		err = l.failure(ctxerr.Of(ctx))
	}()
	if ctx.Err() != nil {
		return l.failure(nil)
	}
	if err := t.RequestService(serviceUserAuth); err != nil {
		return l.failure(err)
	}
	if l.waiter != nil && config.WaitService {
		if err := l.waiter.WaitService(); err != nil {
			return l.failure(err)
		}
	}
	methods, cancel := l.methodContext(ctx)
	defer cancel(nil)
	return l.run(methods)
}

// errEnded is the cause of a method's context when the transport has ended.
var errEnded = fmt.Errorf("userauth: the transport has ended: %w", net.ErrClosed)

// methodContext returns the context for methods and the user's functions: a
// child of ctx that also ends with the transport, if the transport has Done.
func (l *login) methodContext(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if l.done != nil {
		go func() {
			select {
			case <-l.done.Done():
				cancel(errEnded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
