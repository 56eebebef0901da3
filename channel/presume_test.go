package channel_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

// presumed has the client open a session and run a command, and returns the
// session's own number, once all of that was sent.
func (p *peer) presumed(c *connection.Conn) (*channel.Session, uint32) {
	p.t.Helper()
	s, err := channel.PresumeSession(p.t.Context(), c, theirID)
	require.NoError(p.t, err)
	require.NoError(p.t, s.RequestPTY(p.t.Context(), channel.PTY{}))
	require.NoError(p.t, s.Exec(p.t.Context(), "cat"))
	_, err = s.Write([]byte("input"))
	require.NoError(p.t, err)
	require.NoError(p.t, s.CloseWrite())
	id := expect[openMsg](p).Sender
	require.Equal(p.t, "pty-req", expect[requestMsg](p).Name)
	require.Equal(p.t, requestMsg{theirID, "exec", true, []byte(str("cat"))}, expect[requestMsg](p))
	require.Equal(p.t, dataMsg{theirID, []byte("input")}, expect[dataMsg](p))
	require.Equal(p.t, eofMsg{theirID}, expect[eofMsg](p))
	return s, id
}

func TestPresumedSessionSendsEverythingBeforeAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.presumed(c)
		started := call(func() error { return s.Started(t.Context()) })
		p.send(confirmMsg{id, theirID, 0, 32 << 10}, successMsg{id})
		synctest.Wait()
		require.Empty(t, started)
		p.send(successMsg{id})
		require.NoError(t, <-started)
		require.NoError(t, s.Started(t.Context()))
		p.send(dataMsg{id, []byte("output")}, eofMsg{id}, closeMsg{id})
		require.Equal(t, "output", readAll(t, s))
	})
}

func TestPresumedSessionThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.presumed(c)
		p.send(openFailureMsg{id, 1, "no sessions", ""})
		for range 2 {
			var open *connection.OpenError
			require.ErrorAs(t, s.Started(t.Context()), &open)
			require.Equal(t, "no sessions", open.Message)
		}
		require.ErrorAs(t, s.Wait(t.Context()), new(*connection.OpenError))
	})
}

// The name of the request tells whether the command itself was refused.
func TestRefusalOfTheCommandCountsMost(t *testing.T) {
	for name, test := range map[string]struct {
		terminal, command bool
		refused           string
	}{
		"terminal": {false, true, "pty-req"},
		"command":  {true, false, "exec"},
		"both":     {false, false, "exec"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.presumed(c)
				p.send(confirmMsg{id, theirID, 1 << 20, 32 << 10})
				for _, granted := range []bool{test.terminal, test.command} {
					if granted {
						p.send(successMsg{id})
					} else {
						p.send(failureMsg{id})
					}
				}
				for range 2 {
					var refused *connection.RequestError
					require.ErrorAs(t, s.Started(t.Context()), &refused)
					require.Equal(t, test.refused, refused.Name)
				}
				expect[closeMsg](p)
			})
		})
	}
}

func TestStartedEndsWithItsContextAndForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.presumed(c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Started(ctx), context.Canceled)
		require.ErrorIs(t, s.Started(t.Context()), context.Canceled, "the session was closed")
	})
}

func TestNothingCanBePresumedOnALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		broken := errors.New("broken")
		p.lose(broken)
		require.ErrorIs(t, c.Wait(), broken)
		_, err := channel.PresumeSession(t.Context(), c, 0)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, broken)
	})
}

func TestSessionRunsOneThingOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.presumed(c)
		require.ErrorContains(t, s.Exec(t.Context(), "again"), "has been started")
		require.ErrorContains(t, s.Setenv(t.Context(), "A", "1"), "has been started")
	})
}
