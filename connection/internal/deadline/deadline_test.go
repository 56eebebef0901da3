package deadline_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection/internal/deadline"
)

func TestDeadlineWakesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var d deadline.Deadline
		woken := 0
		set := func(at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			d.Set(at, &mu, func() { woken++ })
		}
		check := func(passed bool, times int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, passed, d.Passed)
			require.Equal(t, times, woken)
		}
		set(time.Now().Add(time.Minute))
		set(time.Now().Add(time.Hour)) // the first is forgotten
		time.Sleep(2 * time.Minute)
		check(false, 0)
		time.Sleep(time.Hour)
		check(true, 1)

		set(time.Time{})
		check(false, 1)
		set(time.Now()) // has passed at once
		check(true, 2)

		set(time.Now().Add(time.Minute))
		mu.Lock()
		d.Stop()
		mu.Unlock()
		time.Sleep(time.Hour)
		check(false, 2)
	})
}
