package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nacre-ssh/nacre/sshtest"
)

// packetSize is the data of a packet, for allocations per packet: the most
// that OpenSSH sends and takes.
const packetSize = 32 << 10

// opensshWindow is a channel's window for uploads to sshd.
const opensshWindow = 2 << 20

// A direction is the way of the bytes, to the client or to the server.
type direction struct {
	name     string // of the result of CPU time
	transfer string // of the result of speed
	command  func(size int64) string
	upload   bool
}

var directions = []direction{
	{"down", "download", func(size int64) string { return fmt.Sprintf("head -c %d /dev/zero", size) }, false},
	{"up", "upload", func(size int64) string { return fmt.Sprintf("head -c %d >/dev/null", size) }, true},
}

// transfer has a client's process move bytes: from the server to /dev/null, or
// from /dev/zero, without an end and nearly without cost, to a command that
// takes the number of bytes.
func (b *bench) transfer(ctx context.Context, client string, l *login, d direction, size int64, profile string) (usage, error) {
	t := &task{Kind: taskRun, Client: client, Login: l, Command: d.command(size), Profile: profile}
	if !d.upload {
		return t.start(ctx, nil, nil)
	}
	zeros, err := os.Open("/dev/zero")
	if err != nil {
		return usage{}, err
	}
	defer zeros.Close()
	return t.start(ctx, zeros, nil)
}

// more is the cost of size bytes beyond the cost of a single byte.
func (b *bench) more(ctx context.Context, client string, l *login, d direction, size int64, profile string) (usage, error) {
	one, err := b.transfer(ctx, client, l, d, 1, "")
	if err != nil {
		return usage{}, err
	}
	all, err := b.transfer(ctx, client, l, d, size, profile)
	if err != nil {
		return usage{}, err
	}
	all.elapsed -= one.elapsed
	all.cpu -= one.cpu
	all.Mallocs -= min(one.Mallocs, all.Mallocs)
	return all, nil
}

// rate is in MB/s. No transfer counts as faster than a millisecond.
func (u usage) rate(size int64) float64 {
	return float64(size) / 1e6 / max(u.elapsed, time.Millisecond).Seconds()
}

// loopback measures each cipher at full speed: the speed itself, the client's
// CPU time, and of the first cipher the allocations.
func (b *bench) loopback(ctx context.Context) error {
	for i, suite := range b.ciphers {
		for _, d := range directions {
			speed, cpu := d.transfer+"/loopback/"+suite.Name, "cpu/"+suite.Name+"/"+d.name
			units := map[string]string{speed: "MB/s", cpu: "s/GB"}
			names := []string{speed, cpu}
			allocs := "allocs/packet/" + d.name
			if i == 0 {
				units[allocs] = "allocs"
				names = append(names, allocs)
			}
			if !b.wants(names...) {
				continue
			}
			l := *b.sshd()
			l.Suite = suite
			err := b.turns(allClients, units, func(client string) (sample, error) {
				u, err := b.more(ctx, client, &l, d, b.size, b.profile(client, suite.Name+"-"+d.name))
				s := sample{speed: u.rate(b.size), cpu: u.cpu.Seconds() / (float64(b.size) / 1e9)}
				if client != clientOpenSSH {
					s[allocs] = float64(u.Mallocs) / (float64(b.size) / packetSize)
				}
				return s, err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// distance measures the speed through the link, by the number of bytes that
// each client moves in some seconds, so that slow clients do not take minutes.
func (b *bench) distance(ctx context.Context) error {
	rtt := b.link.RTT.String()
	for _, d := range directions {
		name := d.transfer + "/" + rtt
		share := name + "/window"
		if !b.wants(name, share) {
			continue
		}
		l := *b.sshd()
		proxy, err := b.link.Proxy(l.Addr)
		if err != nil {
			return err
		}
		b.harness.Cleanup(func() { proxy.Close() })
		l.Addr = proxy.Addr
		sizes := make(map[string]int64)
		for _, client := range allClients {
			if sizes[client], err = b.pilot(ctx, client, &l, d); err != nil {
				return clientError(client, name, err)
			}
		}
		windows, err := b.windowsPerSecond()
		if err != nil {
			return err
		}
		units := map[string]string{name: "MB/s", share: "%"}
		err = b.turns(allClients, units, func(client string) (sample, error) {
			u, err := b.more(ctx, client, &l, d, sizes[client], b.profile(client, d.name+"-"+rtt))
			s := sample{name: u.rate(sizes[client])}
			if d.upload {
				s[share] = 100 * s[name] / (opensshWindow / 1e6 * windows)
			}
			return s, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// windowsPerSecond is how often a window can be used up and granted again:
// once in each real round trip of the link, almost a millisecond longer than
// RTT because of late timers.
func (b *bench) windowsPerSecond() (float64, error) {
	near, far := sshtest.Pipe()
	go func() {
		io.Copy(far, far)
		far.Close()
	}()
	c := b.link.Conn(near)
	defer c.Close()
	seconds := make([]float64, 9)
	for i := range seconds {
		begin := time.Now()
		if _, err := c.Write([]byte{0}); err != nil {
			return 0, err
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return 0, err
		}
		seconds[i] = time.Since(begin).Seconds()
	}
	return 1 / median(seconds), nil
}

// pilot returns how many bytes a client moves through the link in about the
// time of a transfer.
func (b *bench) pilot(ctx context.Context, client string, l *login, d direction) (int64, error) {
	most := b.size
	if b.link.Rate > 0 {
		most = int64(float64(b.link.Rate) * b.linkTime.Seconds())
	}
	size := min(most, 20_000_000)
	u, err := b.more(ctx, client, l, d, size, "")
	return min(most, int64(u.rate(size)*1e6*b.linkTime.Seconds())), err
}
