// Program bench measures Nacre, golang.org/x/crypto/ssh and OpenSSH's ssh side
// by side, in a single run on a single machine. The program prints a table of
// the measurements, the ratios, and the bar for Nacre.
//
//	go run ./internal/bench             # everything; some 15 minutes
//	go run ./internal/bench -quick      # a smoke run
//	go run ./internal/bench -only 'roundtrips|cpu/aes128-gcm'
//
// The servers are OpenSSH's sshd, Dropbear, and where there are thousands of
// connections the server of package sshtest, in a process of its own. All of
// them listen on loopback, and end with this program. Distance is simulated by
// sshtest.Link.
//
// Wherever CPU time is measured, all three clients do the same work in the
// same way: a process connects, runs a command, copies its file descriptor 0 to
// the command and the command's output to its file descriptor 1. For Nacre and
// x/crypto/ssh this program runs itself, as the smallest client of this kind.
// Measurements of an amount of data are the difference between a run with the
// whole amount and a run with a single byte, and so leave out start and
// handshake. Clients take turns, and the result is the median of all turns.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/nacre-ssh/nacre/sshtest"
)

// main runs a task if this process was started for a task, and the
// measurements otherwise.
func main() {
	if len(os.Args) == 3 && os.Args[1] == taskArg {
		os.Exit(runTask(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	b := new(bench)
	b.parseFlags()
	err := b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is a run of the program: the flags and the results.
type bench struct {
	n        int            // turns for each client
	size     int64          // bytes on loopback
	link     sshtest.Link   // for measurements at a distance
	linkTime time.Duration  // of a transfer through the link, about
	idle     []int          // numbers of idle connections
	settle   time.Duration  // the time until they count as idle
	connects int            // number of consecutive connections
	commands int            // number of concurrent commands
	ciphers  []suite        // on loopback
	only     *regexp.Regexp // names of results
	profiles string         // directory for CPU profiles of clients, or empty
	json     bool
	svg      string // file to write, or empty

	harness *harness
	login   *login // to the sshd of all measurements
	results results
}

// parseFlags sets the amounts. A smoke run measures everything too, with
// little data and few connections.
func (b *bench) parseFlags() {
	flag.IntVar(&b.n, "n", 5, "turns for each client; results are medians")
	flag.Int64Var(&b.size, "size", 1_000_000_000, "bytes of each transfer on loopback")
	flag.DurationVar(&b.link.RTT, "rtt", 100*time.Millisecond, "round trip time of the link")
	flag.Int64Var(&b.link.Rate, "rate", 125_000_000, "bytes per second of the link, in each direction")
	flag.DurationVar(&b.linkTime, "time", 15*time.Second, "about how long a transfer through the link takes; its first second, in which windows grow, counts")
	only := flag.String("only", "", "measure only what has a name that matches this regular expression")
	quick := flag.Bool("quick", false, "a smoke run: little data, one turn, few connections")
	flag.StringVar(&b.profiles, "cpuprofile", "", "write CPU profiles of the clients in Go to this directory")
	flag.BoolVar(&b.json, "json", false, "print one JSON object a line instead of the table")
	flag.StringVar(&b.svg, "svg", "", "write a picture to this file")
	flag.DurationVar(&b.settle, "settle", 3*time.Second, "how long connections do nothing before they count as idle")
	flag.Parse()
	b.idle, b.connects, b.commands, b.ciphers = []int{1000, 10000}, 200, 1000, suites
	if *quick {
		b.n, b.size, b.linkTime = 1, 100_000_000, time.Second
		b.idle, b.connects, b.commands, b.ciphers = []int{100}, 20, 100, suites[:1]
	}
	b.only = regexp.MustCompile(*only)
}

// run measures everything, and then reports.
func (b *bench) run(ctx context.Context) error {
	b.harness = new(harness)
	defer b.harness.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.report(ctx, os.Stdout)
}

// measure runs all measurements in their order, and stops at the first error.
// A failure of the harness becomes an error here.
func (b *bench) measure(ctx context.Context) (err error) {
	defer b.harness.recover(&err)
	for _, measure := range []func(context.Context) error{
		b.roundTrips, b.distance, b.loopback, b.handshakes, b.concurrent, b.idleConnections,
	} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report writes the picture, if the flags name a file, and the table or the
// JSON lines to w.
func (b *bench) report(ctx context.Context, w io.Writer) error {
	about := thisMachine(ctx)
	if b.svg != "" {
		if err := os.MkdirAll(filepath.Dir(b.svg), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(b.svg, b.results.svg(about), 0o644); err != nil {
			return err
		}
	}
	if b.json {
		return b.results.writeJSON(w)
	}
	return b.results.writeTable(w, about, b.bars())
}

// add notes a result that the flags ask for. The unit says which direction is
// better: more of "MB/s" and "/s", less of all others.
func (b *bench) add(name, client string, value float64, unit string) {
	if !b.only.MatchString(name) {
		return
	}
	b.results = append(b.results, result{name, client, value, unit})
	line, _ := json.Marshal(b.results[len(b.results)-1])
	fmt.Fprintf(os.Stderr, "%s\n", line)
}

// wants reports whether any of these results was asked for.
func (b *bench) wants(names ...string) bool {
	return slices.ContainsFunc(names, b.only.MatchString)
}

// A sample has the measurements of a client's turn, by the result's name.
type sample map[string]float64

// turns takes samples of each client, in turn, and adds the medians.
func (b *bench) turns(clients []string, units map[string]string, take func(client string) (sample, error)) error {
	names := sortedKeys(units)
	samples := make(map[string][]sample)
	for range b.n {
		for _, client := range clients {
			s, err := take(client)
			if err != nil {
				return clientError(client, names[0], err)
			}
			samples[client] = append(samples[client], s)
		}
	}
	for _, name := range names {
		for _, client := range clients {
			if _, ok := samples[client][0][name]; ok {
				b.add(name, client, medianOf(samples[client], name), units[name])
			}
		}
	}
	return nil
}

// clientError says whose measurement failed.
func clientError(client, name string, err error) error {
	return fmt.Errorf("%s: %s: %w", name, client, err)
}
