package hostfile_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// waits are all calls of this package with a wait: see waittest.
var waits = waittest.Calls{
	"Edit, for others to write": func(t *testing.T) waittest.Blocked {
		file := write(t, "")
		lock(t, file)
		stop := writeForEver(t, file)
		t.Cleanup(stop)
		return waittest.Blocked{Context: true, Grace: 50 * time.Millisecond, Do: func(ctx context.Context) error {
			return hostfile.Edit(ctx, file, unchanged)
		}}
	},
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

func unchanged(content []byte) ([]byte, error) { return content, nil }

// writeForEver plays another process: the owner of the lock, who writes.
func writeForEver(t *testing.T, file string) (stop func()) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close()
		for ctx.Err() == nil {
			_, _ = f.WriteString("# another one\n")
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestEndOfTheWaitHasTheCauseOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		lock(t, file)
		cause := errors.New("the deployment was called off")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		err := hostfile.Edit(ctx, file, unchanged)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, cause)
	})
}
