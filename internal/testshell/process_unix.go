//go:build unix

package testshell

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/crypto/ssh"
)

var processSignals = map[ssh.Signal]syscall.Signal{
	ssh.SIGABRT: syscall.SIGABRT,
	ssh.SIGALRM: syscall.SIGALRM,
	ssh.SIGFPE:  syscall.SIGFPE,
	ssh.SIGHUP:  syscall.SIGHUP,
	ssh.SIGILL:  syscall.SIGILL,
	ssh.SIGINT:  syscall.SIGINT,
	ssh.SIGKILL: syscall.SIGKILL,
	ssh.SIGPIPE: syscall.SIGPIPE,
	ssh.SIGQUIT: syscall.SIGQUIT,
	ssh.SIGSEGV: syscall.SIGSEGV,
	ssh.SIGTERM: syscall.SIGTERM,
	ssh.SIGUSR1: syscall.SIGUSR1,
	ssh.SIGUSR2: syscall.SIGUSR2,
}

// ownGroup puts the command in a process group of its own: a signal reaches
// the children too, as under OpenSSH.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// signalGroup ignores signals without a name in RFC 4254 section 6.10.
func signalGroup(p *os.Process, signal ssh.Signal) {
	if n, ok := processSignals[signal]; ok {
		syscall.Kill(-p.Pid, n)
	}
}

// deathSignal is the signal of the process's death, or empty.
func deathSignal(state *os.ProcessState) ssh.Signal {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	for name, n := range processSignals {
		if n == status.Signal() {
			return name
		}
	}
	return "TERM"
}
