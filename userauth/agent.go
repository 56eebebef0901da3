package userauth

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// maxAgentKeys bounds the keys that are taken from an agent.
const maxAgentKeys = 2048

// Agent offers the keys of a, in the agent's order, as [PublicKeys] does. The
// agent is asked for the keys when the method has its turn. An agent that is nil,
// fails or has no keys is passed over. Package identity has more for the agent
// of an operating system: the choice of keys, and the binding to a session.
//
// When the context of the login ends, the login does not wait for the agent; a
// goroutine does, until the agent answers or is closed.
func Agent(a agent.Agent) Method {
	return PublicKeysFunc(func(ctx context.Context) ([]ssh.Signer, error) {
		if a == nil {
			return nil, fmt.Errorf("%w: there is no agent", ErrSkip)
		}
		signers, err := await(ctx, a.Signers)
		switch {
		case ctx.Err() != nil:
			return nil, ctxerr.Of(ctx)
		case err != nil:
			return nil, fmt.Errorf("%w: the agent failed: %w", ErrSkip, err)
		case len(signers) == 0:
			return nil, fmt.Errorf("%w: the agent has no keys", ErrSkip)
		}
		return signers[:min(len(signers), maxAgentKeys)], nil
	})
}

// await returns the results of f, or ctx's error when ctx ends first. The
// goroutine that runs f is then left behind until f returns, because neither an
// agent nor a signer can be told to stop.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctxerr.Of(ctx)
	}
}
