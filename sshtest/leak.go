package sshtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests and ends the program. If they pass but leave
// goroutines behind that do not end within five seconds, it shows their
// stacks and fails. It is the whole body of a TestMain:
//
//	func TestMain(m *testing.M) { sshtest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if stacks := strays(5 * time.Second); len(stacks) > 0 {
			fmt.Fprintf(os.Stderr, "sshtest: %d goroutines outlive the tests:\n\n%s\n",
				len(stacks), strings.Join(stacks, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
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
