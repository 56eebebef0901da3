package main

import (
	"context"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// wrongKeys is the number of refused keys before the accepted key.
const wrongKeys = 4

// roundTrips counts the round trips from a dialled connection to the exit
// status of a command, by public key: on first contact ("cold"), by the same
// client once more ("warm"), and on first contact with several keys, the last
// of them right ("keys").
func (b *bench) roundTrips(ctx context.Context) error {
	for _, server := range []struct {
		name  string
		start func(authorized []ssh.PublicKey) *sshtest.Server
	}{
		{"roundtrips/", func(authorized []ssh.PublicKey) *sshtest.Server {
			return sshtest.OpenSSH(b.harness, &sshtest.DaemonOptions{AuthorizedKeys: authorized})
		}},
		{"roundtrips/dropbear/", func(authorized []ssh.PublicKey) *sshtest.Server {
			return sshtest.Dropbear(b.harness, &sshtest.DaemonOptions{AuthorizedKeys: authorized})
		}},
		{"roundtrips/sshtest/", func(authorized []ssh.PublicKey) *sshtest.Server {
			return sshtest.NewServer(b.harness, &sshtest.Options{AuthorizedKeys: authorized})
		}},
	} {
		if !b.wants(server.name+"cold", server.name+"warm", server.name+"keys") {
			continue
		}
		keys, public := newKeys(b.harness, wrongKeys+1)
		l := newLogin(server.start(public[wrongKeys:]), keys)
		if err := b.countRoundTrips(ctx, server.name, l); err != nil {
			return err
		}
	}
	return nil
}

// countRoundTrips has all clients at work at the same time: they are not
// timed, and mostly wait.
func (b *bench) countRoundTrips(ctx context.Context, name string, l *login) error {
	samples := make([][]sample, len(allClients))
	errs := make([]error, len(allClients))
	var clients sync.WaitGroup
	for i, client := range allClients {
		clients.Go(func() {
			for range b.n {
				s, err := b.countTurn(ctx, name, client, l)
				if err != nil {
					errs[i] = err
					return
				}
				samples[i] = append(samples[i], s)
			}
		})
	}
	clients.Wait()
	for i, client := range allClients {
		if errs[i] != nil {
			return clientError(client, name, errs[i])
		}
		for _, kind := range []string{"cold", "warm", "keys"} {
			b.add(name+kind, client, medianOf(samples[i], name+kind), "rtt")
		}
	}
	return nil
}

// countTurn runs three commands of a client through a link of its own, and
// counts the round trips of each.
func (b *bench) countTurn(ctx context.Context, name, clientName string, l *login) (sample, error) {
	link := sshtest.Link{RTT: b.link.RTT}
	proxy, err := link.Proxy(l.Addr)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	one, all := *l, *l
	one.Addr, all.Addr = proxy.Addr, proxy.Addr
	one.Keys = l.Keys[wrongKeys:]

	s := make(sample)
	counted := 0
	count := func(kind string, c client) error {
		if err := c.run(ctx, "true", nil, nil); err != nil {
			return err
		}
		total := 0 // a client may have needed several connections
		for _, trips := range proxy.RoundTrips() {
			total += trips
		}
		s[name+kind] = float64(total - counted)
		counted = total
		return nil
	}
	first, err := newClient(clientName, &one)
	if err != nil {
		return nil, err
	}
	several, err := newClient(clientName, &all)
	if err != nil {
		return nil, err
	}
	for _, run := range []struct {
		kind string
		c    client
	}{{"cold", first}, {"warm", first}, {"keys", several}} {
		if err := count(run.kind, run.c); err != nil {
			return nil, err
		}
	}
	return s, nil
}
