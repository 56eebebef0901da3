package connection_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine of the package outlives all tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if leaked := leakedGoroutines(2 * time.Second); code == 0 && leaked != "" {
		fmt.Fprintln(os.Stderr, "leaked goroutines:\n"+leaked)
		code = 1
	}
	os.Exit(code)
}

// leakedGoroutines gives goroutines that are about to end the time to do so.
func leakedGoroutines(patience time.Duration) string {
	stacks := make([]byte, 1<<20)
	for start := time.Now(); ; runtime.Gosched() {
		all := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
		var leaked []string
		for _, g := range all[1:] { // the first one is this one
			if strings.Contains(g, "nacre/connection") {
				leaked = append(leaked, g)
			}
		}
		if len(leaked) == 0 || time.Since(start) > patience {
			return strings.Join(leaked, "\n\n")
		}
	}
}
