package sshtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nacre-ssh/nacre/internal/leaks"
)

// Main runs a package's tests and ends the program. After tests that pass,
// Main waits for the end of all goroutines and, where there is a /proc, of all
// files and sockets that the tests opened. Leftovers after a minute are shown,
// goroutines with their stacks, and fail the package. Main is the whole body
// of a TestMain:
//
//	func TestMain(m *testing.M) { sshtest.Main(m) }
func Main(m *testing.M) {
	const grace = time.Minute // for a loaded machine; most waits are over at once
	before := leaks.OpenFiles()
	code := m.Run()
	if code == 0 {
		if left := leaks.Goroutines(grace); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "sshtest: %d goroutines outlive the tests:\n\n%s\n",
				len(left), strings.Join(left, "\n\n"))
			code = 1
		} else if left := leaks.Files(before, grace); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "sshtest: %d files outlive the tests:\n\n%s\n",
				len(left), strings.Join(left, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}
