//go:build !unix

package testshell

import (
	"os"
	"os/exec"

	"golang.org/x/crypto/ssh"
)

// Where there are no signals, a command dies of any, and says so to nobody.

func ownGroup(*exec.Cmd) {}

func signalGroup(p *os.Process, _ ssh.Signal) { p.Kill() }

func deathSignal(*os.ProcessState) ssh.Signal { return "" }
