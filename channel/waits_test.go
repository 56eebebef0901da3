package channel_test

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/waittest"
)

// waits are all calls of this package that can wait. See waittest. The methods that Dial,
// Accept and a Session share with connection.Channel are tested there.
var waits = waittest.Calls{
	"NewSession, for the answer": onConn(false, newSession),
	"NewSession, for room":       onConn(true, newSession),
	"NewSessionEarly": onConn(true, func(c *connection.Conn, ctx context.Context) error {
		_, err := channel.NewSessionEarly(ctx, c, 0)
		return err
	}),
	"Dial, for the answer": onConn(false, dialTCP),
	"Dial, for room":       onConn(true, dialTCP),
	"Dial, Unix, for the answer": onConn(false, func(c *connection.Conn, ctx context.Context) error {
		_, err := channel.Dial(ctx, c, "unix", "/s")
		return err
	}),
	"Listen, for the answer": onConn(false, listenTCP),
	"Listen, for room":       onConn(true, listenTCP),
	"Listen, Unix, for the answer": onConn(false, func(c *connection.Conn, ctx context.Context) error {
		_, err := channel.Listen(ctx, c, "unix", "/s")
		return err
	}),
	"listener.Accept": func(t *testing.T) waittest.Blocked {
		c, p := start(t)
		l := p.listen(c, "tcp", "127.0.0.1:8080", nil)
		return waittest.Blocked{
			Ends: append(p.endings(c), waittest.End{Name: "Close of the listener", By: func() { l.Close() }, Want: []error{net.ErrClosed}}),
			Do:   func(context.Context) error { _, err := l.Accept(); return err },
		}
	},

	"Session.Setenv":                     onSession(true, setenv),
	"Session.Setenv, for its turn":       behind(true, setenv, setenv),
	"Session.ForwardAgent":               onSession(true, forwardAgent),
	"Session.ForwardAgent, for its turn": behind(true, setenv, forwardAgent),
	"Session.RequestPTY":                 onSession(true, func(s *channel.Session, ctx context.Context) error { return s.RequestPTY(ctx, channel.PTY{}) }),
	"Session.Signal":                     onSession(true, func(s *channel.Session, ctx context.Context) error { return s.Signal(ctx, ssh.SIGTERM) }),
	"Session.Resize":                     onSession(true, func(s *channel.Session, ctx context.Context) error { return s.Resize(ctx, channel.Size{}) }),
	"Session.Exec":                       onSession(true, func(s *channel.Session, ctx context.Context) error { return s.Exec(ctx, "x") }),
	"Session.Exec, for its turn":         behind(true, setenv, func(s *channel.Session, ctx context.Context) error { return s.Exec(ctx, "x") }),
	"Session.Start, for room":            onSession(true, startCommand),
	"Session.Start, for the answer":      onSession(false, startCommand),
	"Session.Shell, for room":            onSession(true, (*channel.Session).Shell),
	"Session.Shell, for the answer":      onSession(false, (*channel.Session).Shell),
	"Session.Subsystem, for room":        onSession(true, func(s *channel.Session, ctx context.Context) error { return s.Subsystem(ctx, "x") }),
	"Session.Subsystem, for the answer":  onSession(false, func(s *channel.Session, ctx context.Context) error { return s.Subsystem(ctx, "x") }),
	"Session.WaitStart": onSession(false, func(s *channel.Session, ctx context.Context) error {
		if err := s.Exec(context.Background(), "x"); err != nil {
			return err
		}
		return s.WaitStart(ctx)
	}),
	"Session.WaitStart, for its turn": behind(false, startCommand, (*channel.Session).WaitStart),
	"Session.Wait":                    onSession(false, (*channel.Session).Wait),
}

// C21: a waiting call ends with whatever the call depends on.
func TestWaits(t *testing.T) { waittest.Run(t, waits) }

func newSession(c *connection.Conn, ctx context.Context) error {
	_, err := channel.NewSession(ctx, c)
	return err
}

func dialTCP(c *connection.Conn, ctx context.Context) error {
	_, err := channel.Dial(ctx, c, "tcp", "host:80")
	return err
}

func listenTCP(c *connection.Conn, ctx context.Context) error {
	_, err := channel.Listen(ctx, c, "tcp", "localhost:0")
	return err
}

func setenv(s *channel.Session, ctx context.Context) error { return s.Setenv(ctx, "A", "b") }

func forwardAgent(s *channel.Session, ctx context.Context) error {
	return s.ForwardAgent(ctx, func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
}

func startCommand(s *channel.Session, ctx context.Context) error { return s.Start(ctx, "x") }

// endings are the events that end every call on a connection. Close takes its time to write the
// queued packets.
func (p *peer) endings(c *connection.Conn) []waittest.End {
	return []waittest.End{
		{Name: "Close of the connection", By: func() { c.Close() }, Want: []error{net.ErrClosed}, Within: 50 * time.Millisecond},
		{Name: "loss of the connection", By: func() { p.lose(os.ErrPermission) }, Want: []error{os.ErrPermission, net.ErrClosed}},
	}
}

// fill stops reading, and has the client queue requests until there is room for
// no more.
func (p *peer) fill(c *connection.Conn) {
	p.t.Helper()
	p.hold()
	for range 5 {
		_, err := c.SendRequest(p.t.Context(), "x", false, make([]byte, 100<<10))
		require.NoError(p.t, err)
		synctest.Wait()
	}
}

// onConn makes do wait for the peer, or for room among the packets to be sent.
func onConn(full bool, do func(c *connection.Conn, ctx context.Context) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t)
		if full {
			p.fill(c)
		}
		return waittest.Blocked{Context: true, Ends: p.endings(c), Do: func(ctx context.Context) error { return do(c, ctx) }}
	}
}

// onSession is onConn for a session.
func onSession(full bool, do func(s *channel.Session, ctx context.Context) error) waittest.Call {
	return behind(full, nil, do)
}

// behind makes do wait for another goroutine, in which first waits.
func behind(full bool, first, do func(s *channel.Session, ctx context.Context) error) waittest.Call {
	return func(t *testing.T) waittest.Blocked {
		c, p := start(t)
		s, _ := p.session(c)
		if full {
			p.fill(c)
		}
		if first != nil {
			go func() { _ = first(s, context.Background()) }()
			synctest.Wait()
		}
		return waittest.Blocked{
			Context: true,
			Do:      func(ctx context.Context) error { return do(s, ctx) },
			Ends:    append(p.endings(c), waittest.End{Name: "Close of the session", By: func() { s.Close() }, Want: []error{net.ErrClosed}}),
		}
	}
}
