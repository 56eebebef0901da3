package channel

import (
	"context"
	"io"
	"net"

	"github.com/nacre-ssh/nacre/connection"
)

// requestAgent and agentChannel are OpenSSH's names for the forwarding of an agent.
const (
	requestAgent = "auth-agent-req@openssh.com"
	agentChannel = "auth-agent@openssh.com"
)

// maxAgentChannels bounds the server's connections to the agent through a session.
const maxAgentChannels = 16

// ForwardAgent offers an agent to the programs in the session: until the session ends, the
// server may open connections to the agent, up to 16 at once. dial makes each of them, with a
// context that ends with the session. Whoever controls the server can have the agent sign
// meanwhile, for logins anywhere: forward an agent only to a server as trustworthy as this
// machine. identity.Forwarded of this module tells how an agent keeps some keys to itself.
//
// Call ForwardAgent before Start. The request has no answer: OpenSSH's server grants the first
// request on a connection, refuses those of further sessions, and lets these sessions use the
// agent all the same. A server that allows no agent leaves the command without. If several
// sessions of a connection forward an agent, the server's connections go to the agent of the
// last session, since the server does not tell the sessions apart.
func (s *Session) ForwardAgent(ctx context.Context, dial func(ctx context.Context) (net.Conn, error)) error {
	f := &agentForwarding{dial: dial, places: make(chan struct{}, maxAgentChannels)}
	var end context.CancelFunc
	f.session, end = context.WithCancel(s.closing)
	remove := s.conn.HandleOpen(agentChannel, f.handleOpen)
	if err := s.tell(ctx, "forward the agent", requestAgent); err != nil {
		remove()
		end()
		return err
	}
	go func() { // ends with the session
		defer end()
		defer remove()
		select {
		case <-s.Done():
		case <-s.closing.Done():
		}
	}()
	return nil
}

// tell sends a request that has no answer and must come before Start.
func (s *Session) tell(ctx context.Context, what, name string) error {
	if err := s.sending.take(ctx); err != nil {
		return wrap(what, err)
	}
	defer s.sending.pass()
	if s.started {
		return errStarted(what)
	}
	_, err := s.SendRequest(ctx, name, false, nil)
	return wrap(what, err)
}

// agentForwarding is an agent that the server can reach.
type agentForwarding struct {
	dial    func(ctx context.Context) (net.Conn, error)
	session context.Context // ends with the session
	places  chan struct{}   // has an element for each connection
}

// handleOpen serves a connection of the server's. An error of the agent stays on this side: the
// server learns only of the refusal.
func (f *agentForwarding) handleOpen(ctx context.Context, o *connection.Open) {
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	default:
		_ = o.Reject(connection.ResourceShortage, "too many connections to the agent")
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.session, cancel)()
	agent, err := f.dial(ctx)
	if err != nil {
		_ = o.Reject(connection.ConnectFailed, "no agent")
		return
	}
	defer agent.Close()
	ch, err := o.Accept(nil)
	if err != nil {
		return
	}
	defer ch.Close()
	go func() { // ends with this function at the latest
		select {
		case <-ch.Done():
		case <-ctx.Done():
		}
		ch.Close()
		agent.Close()
	}()
	_ = ch.Stderr().Close() // nothing belongs there, and no data there may fill the window
	relay(ch, agent)
}

// relay copies in both directions until the agent has nothing more to say.
func relay(ch *connection.Channel, agent net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(agent, ch)
		// Answers may be under way.
		if c, ok := agent.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			return
		}
		agent.Close()
	}()
	_, _ = io.Copy(ch, agent)
	ch.Close()
	agent.Close()
	<-done
}
