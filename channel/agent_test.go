package channel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
)

// agents are connections to an agent, whose ends are left to the test.
type agents struct {
	err   error
	conns []net.Conn
}

func (a *agents) dial(context.Context) (net.Conn, error) {
	if a.err != nil {
		return nil, a.err
	}
	ours, theirs := net.Pipe()
	a.conns = append(a.conns, theirs)
	return ours, nil
}

// forward has the client run a command with its agent forwarded.
func (p *peer) forward(c *connection.Conn, a *agents) (s *channel.Session, id uint32) {
	p.t.Helper()
	s, id = p.session(c)
	require.NoError(p.t, s.ForwardAgent(p.t.Context(), a.dial))
	started := call(func() error { return s.Start(context.Background(), "cmd") })
	m := expect[requestMsg](p)
	require.Equal(p.t, "auth-agent-req@openssh.com", m.Name)
	require.Empty(p.t, m.Payload)
	require.False(p.t, m.WantReply)
	require.Equal(p.t, "exec", expect[requestMsg](p).Name)
	p.send(successMsg{id})
	require.NoError(p.t, <-started)
	return s, id
}

// openAgent has the server open a connection to the agent, and returns the
// client's number of the channel.
func (p *peer) openAgent(id uint32) uint32 {
	p.t.Helper()
	p.send(openMsg{"auth-agent@openssh.com", id, 1 << 20, 32 << 10, nil})
	return expect[confirmMsg](p).Sender
}

// refusesAgent has the server try the same in vain.
func (p *peer) refusesAgent() uint32 {
	p.t.Helper()
	p.send(openMsg{"auth-agent@openssh.com", 99, 1 << 20, 32 << 10, nil})
	m := expect[openFailureMsg](p)
	require.NotContains(p.t, m.Message, "secret")
	return m.Reason
}

// A15: the server reaches the agent while the session lasts, and no longer.
func TestAgentIsForwardedWhileTheSessionLasts(t *testing.T) {
	for name, end := range map[string]func(p *peer, s *channel.Session, id uint32){
		"closed by us":         func(_ *peer, s *channel.Session, _ uint32) { s.Close() },
		"closed by the server": func(p *peer, _ *channel.Session, id uint32) { p.send(closeMsg{id}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				require.Equal(t, uint32(3), p.refusesAgent(), "nobody has asked for it")
				a := new(agents)
				s, id := p.forward(c, a)
				ch := p.openAgent(5)

				p.send(dataMsg{ch, []byte("request")})
				buf := make([]byte, 100)
				n, err := a.conns[0].Read(buf)
				require.NoError(t, err)
				require.Equal(t, "request", string(buf[:n]))
				_, err = a.conns[0].Write([]byte("answer"))
				require.NoError(t, err)
				require.Equal(t, dataMsg{5, []byte("answer")}, expect[dataMsg](p))

				end(p, s, id)
				for range 2 { // the session and the connection to the agent
					expect[closeMsg](p)
				}
				_, err = a.conns[0].Read(buf)
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, uint32(3), p.refusesAgent())
			})
		})
	}
}

func TestConnectionToTheAgentEndsWithEitherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		a := new(agents)
		p.forward(c, a)

		p.openAgent(5)
		require.NoError(t, a.conns[0].Close())
		require.Equal(t, closeMsg{5}, expect[closeMsg](p))

		for i, end := range []func(ch uint32) any{
			func(ch uint32) any { return eofMsg{ch} },
			func(ch uint32) any { return closeMsg{ch} },
		} {
			ch := p.openAgent(6)
			p.send(end(ch))
			_, err := a.conns[i+1].Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, closeMsg{6}, expect[closeMsg](p))
		}
	})
}

// A15: the connections to the agent are bounded.
func TestConnectionsToTheAgentAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		a := new(agents)
		p.forward(c, a)
		var ids []uint32
		for i := range uint32(16) {
			ids = append(ids, p.openAgent(i))
		}
		require.Equal(t, uint32(4), p.refusesAgent())
		p.send(closeMsg{ids[3]})
		expect[closeMsg](p)
		p.openAgent(3)
		require.Equal(t, uint32(4), p.refusesAgent())
	})
}

func TestAgentThatCannotBeReachedIsNotExplainedToTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		p.forward(c, &agents{err: errors.New("the secret place of the agent")})
		require.Equal(t, uint32(2), p.refusesAgent())
	})
}

// A15: a flood beside the agent's data is dropped.
func TestFloodBesideTheAgentIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		a := new(agents)
		p.forward(c, a)
		ch := p.openAgent(5)
		var window uint32
		for range 200 { // 6 MiB, three times the window
			p.send(extendedMsg{ch, 1, make([]byte, 32<<10)})
			synctest.Wait()
			for p.fromClient.length() > 0 {
				window += expect[adjustMsg](p).Bytes
			}
		}
		require.NotZero(t, window)
		p.send(dataMsg{ch, []byte("x")})
		_, err := a.conns[0].Read(make([]byte, 1))
		require.NoError(t, err)
		p.send(requestMsg{ch, "exec", true, nil})
		require.Equal(t, failureMsg{5}, expect[failureMsg](p))
	})
}

func TestAgentIsForwardedBeforeTheCommandStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, _ := p.command(c)
		require.ErrorContains(t, s.ForwardAgent(t.Context(), new(agents).dial), "has been started")
		p.quiet()
		require.Equal(t, uint32(3), p.refusesAgent())
	})
}

// A15: 10,000 connections to an agent that does not come.
func TestFloodOfConnectionsToAnAgentThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.session(c)
		dialled := make(chan struct{}, 100)
		require.NoError(t, s.ForwardAgent(t.Context(), func(ctx context.Context) (net.Conn, error) {
			dialled <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		expect[requestMsg](p)
		for i := range uint32(10_000) {
			p.send(openMsg{"auth-agent@openssh.com", i, 1 << 20, 32 << 10, nil})
			if i >= 16 {
				require.Equal(t, openFailureMsg{i, 4, "too many connections to the agent", "en"}, expect[openFailureMsg](p))
			} else {
				<-dialled
			}
		}
		p.send(closeMsg{id})
		expect[closeMsg](p)
		for range 16 {
			require.Equal(t, uint32(2), expect[openFailureMsg](p).Reason)
		}
		require.Equal(t, uint32(3), p.refusesAgent())
		require.Empty(t, dialled)
	})
}

// A15: an agent that takes nothing fills the window of its channel, and that is
// all. It hears of the end.
func TestAgentThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		a := new(agents)
		s, _ := p.forward(c, a)
		ch := p.openAgent(5)
		for range 64 { // the window
			p.send(dataMsg{ch, make([]byte, 32<<10)})
		}
		synctest.Wait()
		other := p.openAgent(6)
		p.send(dataMsg{other, []byte("x")})
		_, err := a.conns[1].Read(make([]byte, 1))
		require.NoError(t, err)

		require.NoError(t, s.Close())
		for range 3 {
			expect[closeMsg](p)
		}
		_, err = io.Copy(io.Discard, a.conns[0])
		require.NoError(t, err, "it is closed")
	})
}
