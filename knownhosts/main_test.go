package knownhosts_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
)

// TestMain lets the test binary serve as a process for learning hosts, asking, or
// rotating keys: see learnVariable, askVariable and rotateVariable.
func TestMain(m *testing.M) {
	if file := os.Getenv(learnVariable); file != "" {
		d, err := knownhosts.Load(file)
		for _, addr := range os.Args[1:] {
			if err == nil {
				err = d.Add(addr, key("host"))
			}
		}
		exit(err)
	}
	if os.Getenv(askVariable) != "" {
		exit(askOnTerminal())
	}
	if file := os.Getenv(rotateVariable); file != "" {
		exit(rotateInProcess(file))
	}
	sshtest.Main(m)
}

// exit ends a process that has not run tests.
func exit(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}
