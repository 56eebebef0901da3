package sshtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests and ends the program. If they pass but leave
// something behind that does not end within five seconds, it says what and
// fails: goroutines, with their stacks, and, where there is a /proc, files and
// sockets that are open. It is the whole body of a TestMain:
//
//	func TestMain(m *testing.M) { sshtest.Main(m) }
func Main(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if left := strays(5 * time.Second); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "sshtest: %d goroutines outlive the tests:\n\n%s\n",
				len(left), strings.Join(left, "\n\n"))
			code = 1
		} else if left := leftOpen(before, 5*time.Second); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "sshtest: %d files outlive the tests:\n\n%s\n",
				len(left), strings.Join(left, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// leftOpen returns the files that are open and were not before, when the grace
// is over, and none as soon as there are none.
func leftOpen(before []string, grace time.Duration) []string {
	for end := time.Now().Add(grace); ; time.Sleep(5 * time.Millisecond) {
		left := slices.DeleteFunc(descriptors(), func(d string) bool { return slices.Contains(before, d) })
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// descriptors returns the files and sockets that are open, and none where there
// is no /proc. What has no name in any sense, as epoll's have not, is the
// runtime's.
func descriptors() (open []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && !strings.HasPrefix(target, "anon_inode:") {
			open = append(open, link+" is "+target)
		}
	}
	return open
}

// household are functions whose goroutines belong to the runtime or to
// package testing.
var household = []string{
	"testing.(*M).",
	"testing.tRunner(",
	"os/signal.signal_recv(",
	"runtime.ensureSigM",
	"runtime/pprof.profileWriter(",
	"runtime/trace.",
	"internal/fuzz.",
}

// strays returns the stacks of the goroutines that are still there when the
// grace is over, and none as soon as there are none.
func strays(grace time.Duration) []string {
	for end := time.Now().Add(grace); ; time.Sleep(5 * time.Millisecond) {
		stacks := goroutines()
		if len(stacks) == 0 || time.Now().After(end) {
			return stacks
		}
	}
}

// goroutines returns the stacks of all goroutines but the caller's and the
// household's.
func goroutines() []string {
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
