package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"
)

// taskArg is the first argument of this program when the program runs itself.
// The second argument is a task.
const taskArg = "task"

// A task is the work of a process that this program has started.
type task struct {
	Kind       string
	Client     string
	Login      *login
	Command    string        // for taskRun
	N          int           // connections or commands, for the other clients
	Settle     time.Duration // for taskIdle: the time until connections count as idle
	Profile    string        // file for a CPU profile, or empty
	Authorized string        // public key, for taskServe
}

const (
	taskServe      = "serve"      // be a server
	taskRun        = "run"        // run a command, with this process's stdin and stdout
	taskHandshakes = "handshakes" // make N connections, one after the other
	taskCommands   = "commands"   // run N commands at once, each on a connection of its own
	taskIdle       = "idle"       // hold N connections
)

// A report has the measurements of the task's process, written to stderr,
// since stdout may have data.
type report struct {
	Mallocs    uint64  // for taskRun
	Seconds    float64 // for taskHandshakes and taskCommands
	Failures   int     // for taskCommands
	Memory     float64 // resident bytes for each connection
	Goroutines float64 // for each connection
}

// A usage is a report, and the system's measurements of a process.
type usage struct {
	report
	elapsed time.Duration
	cpu     time.Duration // user and system
}

// taskCommand is this program with a task.
func taskCommand(ctx context.Context, t *task) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, program, taskArg, string(encoded)), nil
}

// start runs a task in a process of its own, until the task is done. Nil files
// are /dev/null. For taskRun the client may be OpenSSH, without a report.
func (t *task) start(ctx context.Context, stdin, stdout *os.File) (usage, error) {
	var cmd *exec.Cmd
	if t.Client == clientOpenSSH {
		c, err := newOpenSSH(t.Login)
		if err != nil {
			return usage{}, err
		}
		cmd = c.command(ctx, t.Command)
	} else {
		var err error
		if cmd, err = taskCommand(ctx, t); err != nil {
			return usage{}, err
		}
	}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", t.Kind, err, bytes.TrimSpace(stderr.Bytes()))
	}
	u := usage{elapsed: time.Since(begin), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if t.Client == clientOpenSSH {
		return u, nil
	}
	return u, json.Unmarshal(stderr.Bytes(), &u.report)
}

// runTask is main in the task's process.
func runTask(encoded string) (exitCode int) {
	var t task
	err := json.Unmarshal([]byte(encoded), &t)
	if err == nil {
		err = t.do()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// do runs the task, with a CPU profile if the task names a file, and writes
// the report to stderr.
func (t *task) do() error {
	if t.Kind == taskServe {
		return serve(t)
	}
	if t.Profile != "" {
		f, err := os.Create(t.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	c, err := newClient(t.Client, t.Login)
	if err != nil {
		return err
	}
	r, err := t.work(context.Background(), c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stderr).Encode(r)
}

// work is the part of a task that needs a client.
func (t *task) work(ctx context.Context, c client) (report, error) {
	switch t.Kind {
	case taskRun:
		err := c.run(ctx, t.Command, os.Stdin, os.Stdout)
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return report{Mallocs: memory.Mallocs}, err
	case taskHandshakes:
		return makeConnections(ctx, c, t.N)
	case taskCommands:
		return runAtOnce(ctx, c, t.N)
	case taskIdle:
		return holdConnections(ctx, c, t.N, t.Settle)
	}
	return report{}, fmt.Errorf("unknown task %q", t.Kind)
}

// profile is the file for a CPU profile of a client, or nothing.
func (b *bench) profile(client, measurement string) string {
	if b.profiles == "" {
		return ""
	}
	return filepath.Join(b.profiles, client+"-"+measurement+".pprof")
}
