// Package leaks finds the goroutines and the open files that tests leave behind.
package leaks

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Files returns the files that are open now and were not open before.
// Files waits for the grace, or until there are none.
func Files(before []string, grace time.Duration) []string {
	for end := time.Now().Add(grace); ; time.Sleep(5 * time.Millisecond) {
		left := slices.DeleteFunc(OpenFiles(), func(d string) bool { return slices.Contains(before, d) })
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// OpenFiles returns the open files and sockets, and none where there is no
// /proc. Descriptors without a name, such as epoll's, belong to the runtime.
func OpenFiles() (open []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && !strings.HasPrefix(target, "anon_inode:") {
			open = append(open, link+" is "+target)
		}
	}
	return open
}

// household are functions of the runtime's goroutines and of package
// testing's.
var household = []string{
	"testing.(*M).",
	"testing.tRunner(",
	"os/signal.signal_recv(",
	"runtime.ensureSigM",
	"runtime/pprof.profileWriter(",
	"runtime/trace.",
	"internal/fuzz.",
}

// Goroutines returns the stacks of the goroutines still running after the grace.
// Goroutines returns early when there are none.
func Goroutines(grace time.Duration) []string {
	for end := time.Now().Add(grace); ; time.Sleep(5 * time.Millisecond) {
		left := stacks()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// stacks returns the stacks of all goroutines except the caller's and the
// household's.
func stacks() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for i, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if i > 0 && !ours(stack) { // the caller's comes first
			found = append(found, stack)
		}
	}
	return found
}

func ours(stack string) bool {
	for _, f := range household {
		if strings.Contains(stack, "\n"+f) {
			return true
		}
	}
	return false
}
