package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// handshakes measures consecutive connections with nothing but a login. The
// server is in a process of its own.
func (b *bench) handshakes(ctx context.Context) error {
	const rate, cpu = "handshakes", "handshakes/cpu"
	if !b.wants(rate, cpu) {
		return nil
	}
	l, end, err := b.otherProcess(ctx)
	if err != nil {
		return err
	}
	defer end()
	count := float64(b.connects)
	units := map[string]string{rate: "/s", cpu: "ms"}
	return b.turns(goClients, units, func(client string) (sample, error) {
		none, err := (&task{Kind: taskHandshakes, Client: client, Login: l}).start(ctx, nil, nil)
		if err != nil {
			return nil, err
		}
		t := task{Kind: taskHandshakes, Client: client, Login: l, N: b.connects, Profile: b.profile(client, "handshakes")}
		all, err := t.start(ctx, nil, nil)
		return sample{rate: count / all.Seconds, cpu: (all.cpu - none.cpu).Seconds() * 1e3 / count}, err
	})
}

// makeConnections is the task of handshakes, in the client's process.
func makeConnections(ctx context.Context, c client, n int) (report, error) {
	begin := time.Now()
	for range n {
		conn, err := c.dial(ctx)
		if err != nil {
			return report{}, err
		}
		conn.Close()
	}
	return report{Seconds: time.Since(begin).Seconds()}, nil
}

func (b *bench) commandsName() string { return "commands/" + strconv.Itoa(b.commands) }

// concurrent measures commands of one process, all at once, each on a
// connection of its own.
func (b *bench) concurrent(ctx context.Context) error {
	name := b.commandsName()
	failures := name + "/failures"
	if !b.wants(name, failures) {
		return nil
	}
	l, end, err := b.otherProcess(ctx)
	if err != nil {
		return err
	}
	defer end()
	units := map[string]string{name: "s", failures: "of " + strconv.Itoa(b.commands)}
	return b.turns(goClients, units, func(client string) (sample, error) {
		t := task{Kind: taskCommands, Client: client, Login: l, N: b.commands, Profile: b.profile(client, "commands")}
		u, err := t.start(ctx, nil, nil)
		return sample{name: u.Seconds, failures: float64(u.Failures)}, err
	})
}

// runAtOnce is the task of concurrent, in the client's process. Commands that
// fail are counted, so that a client at its limits still has a result.
func runAtOnce(ctx context.Context, c client, n int) (report, error) {
	begin := time.Now()
	errs := make([]error, n)
	var commands sync.WaitGroup
	for i := range n {
		commands.Go(func() { errs[i] = c.run(ctx, "true", nil, nil) })
	}
	commands.Wait()
	r := report{Seconds: time.Since(begin).Seconds()}
	for _, err := range errs {
		if err != nil {
			r.Failures++
		}
	}
	return r, nil
}

func idleName(what string, n int) string { return what + "/idle/" + strconv.Itoa(n) }

// idleConnections measures the cost of idle connections, in a process that
// only holds them. The server is in another process.
func (b *bench) idleConnections(ctx context.Context) error {
	for _, n := range b.idle {
		memory, goroutines := idleName("memory", n), idleName("goroutines", n)
		if !b.wants(memory, goroutines) {
			continue
		}
		for _, client := range goClients {
			u, err := b.idleProcess(ctx, client, n)
			if err != nil {
				return clientError(client, memory, err)
			}
			b.add(memory, client, u.Memory, "B")
			b.add(goroutines, client, u.Goroutines, "")
		}
	}
	return nil
}

// idleProcess starts a server and a client's process for a single measurement:
// the memory of earlier connections would count otherwise.
func (b *bench) idleProcess(ctx context.Context, client string, n int) (usage, error) {
	l, end, err := b.otherProcess(ctx)
	if err != nil {
		return usage{}, err
	}
	defer end()
	t := task{Kind: taskIdle, Client: client, Login: l, N: n, Settle: b.settle}
	return t.start(ctx, nil, nil)
}

// holdConnections makes connections, some at a time, and compares the process
// after all of them and after the first. The process's end closes the
// connections.
func holdConnections(ctx context.Context, c client, n int, settle time.Duration) (report, error) {
	first, err := c.dial(ctx)
	if err != nil {
		return report{}, err
	}
	first.Close()
	memory, goroutines, err := settled(settle)
	if err != nil {
		return report{}, err
	}

	held := make([]io.Closer, n)
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				held[i], errs[i] = c.dial(ctx)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return report{}, err
	}
	memoryAfter, goroutinesAfter, err := settled(settle)
	runtime.KeepAlive(held)
	return report{
		Memory:     float64(memoryAfter-memory) / float64(n),
		Goroutines: float64(goroutinesAfter-goroutines) / float64(n),
	}, err
}

// settled returns the resident bytes and the goroutines of this process, after
// some time for giving buffers back.
func settled(settle time.Duration) (memory int64, goroutines int, err error) {
	time.Sleep(settle)
	debug.FreeOSMemory() // collects garbage first
	kilobytes, err := strconv.ParseInt(matchFile("/proc/self/status", `(?m)^VmRSS:\s+(\d+) kB$`), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("resident memory is known on Linux only: %w", err)
	}
	return kilobytes << 10, runtime.NumGoroutine(), nil
}
