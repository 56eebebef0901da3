package main

import (
	"os"
	"testing"

	"github.com/nacre-ssh/nacre/sshtest"
)

// The program runs itself. Under test the program is the test.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == taskArg {
		os.Exit(runTask(os.Args[2]))
	}
	sshtest.Main(m)
}
