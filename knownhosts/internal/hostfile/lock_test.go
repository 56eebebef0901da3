package hostfile_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

func TestLockIsWaitedForWhileOthersWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		unlock := lock(t, file)
		stop := writeForEver(t, file)
		edited := make(chan error, 1)
		go func() {
			edited <- hostfile.Edit(t.Context(), file, func(content []byte) ([]byte, error) {
				return append(content, "ours\n"...), nil
			})
		}()
		time.Sleep(time.Minute)
		stop()
		before := read(t, file)
		require.GreaterOrEqual(t, strings.Count(before, "\n"), 60)
		unlock()
		require.NoError(t, <-edited)
		require.Equal(t, before+"ours\n", read(t, file))
	})
}

// The owner of a lock may hang.
func TestLockOfSomebodyIdleIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		lock(t, file)
		err := hostfile.Edit(t.Context(), file, unchanged)
		var pathError *fs.PathError
		require.ErrorAs(t, err, &pathError)
		require.Equal(t, "lock", pathError.Op)
		require.ErrorContains(t, err, "another process has held the lock for 10s, and written nothing")
		require.Empty(t, read(t, file))
	})
}
