package knownhosts

import (
	"context"
	"sync"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// turn is a lock whose waits end with a context. The zero turn is free.
type turn struct {
	once  sync.Once
	taken chan struct{} // full while the lock is taken
}

func (t *turn) take(ctx context.Context) error {
	t.once.Do(func() { t.taken = make(chan struct{}, 1) })
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

func (t *turn) release() { <-t.taken }
