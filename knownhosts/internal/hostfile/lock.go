package hostfile

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// lockWait bounds the wait for a lock whose owner writes nothing.
const lockWait = 10 * time.Second

// awaitLock tries again and again, because ctx could not end a wait in the
// system. The time that counts begins anew with each write to the file: many
// processes that write in turn may take longer than lockWait.
func awaitLock(ctx context.Context, f *os.File, try func() (locked bool, err error)) error {
	last, since := int64(-1), time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		locked, err := try()
		if locked || err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if size := info.Size(); size != last {
			last, since = size, time.Now()
		}
		if time.Since(since) >= lockWait {
			return fmt.Errorf("another process has held the lock for %v, and written nothing", lockWait)
		}
		select {
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		case <-time.After(pause):
		}
	}
}
