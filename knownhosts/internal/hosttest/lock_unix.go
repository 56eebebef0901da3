//go:build unix && !solaris && !aix

package hosttest

import (
	"os"
	"syscall"
	"testing"
)

// Lock holds the lock of a file as another process would.
func Lock(tb testing.TB, file string) (unlock func()) {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		tb.Fatal(err)
	}
	return func() { f.Close() }
}
