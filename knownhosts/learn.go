package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// Change is a key that a [Policy] has recorded or removed, or could not.
type Change struct {
	Name    string        // "host", "[host]:port" or an alias; several are separated by commas
	File    string        // empty for a DB in memory
	Key     ssh.PublicKey // nil if Err is about no single key
	Removed bool          // the key is no longer on record; false: the key is on record now
	Err     error         // why nothing was changed; nil if the change was made
}

// String returns a line for a log or a terminal.
func (c Change) String() string {
	name, place := c.Name, hostfile.Position(c.File, 0)
	text := ""
	switch {
	case c.Err != nil && c.Key == nil:
		text = fmt.Sprintf("keys of %s in %s are left as they are: %v", name, place, c.Err)
	case c.Err != nil:
		text = fmt.Sprintf("%s of %s is not recorded in %s: %v", sshkey.Describe(c.Key), name, place, c.Err)
	case c.Removed:
		text = fmt.Sprintf("removed %s of %s from %s", sshkey.Describe(c.Key), name, place)
	default:
		text = fmt.Sprintf("recorded %s of %s in %s", sshkey.Describe(c.Key), name, place)
	}
	return hostfile.OneLine(text)
}

func (p *Policy) trace(c Change) {
	if p.Trace != nil {
		p.Trace(c)
	}
}

// LearnHostKey records a key that VerifyHostKey has accepted as new and, with
// CheckHostIP, a new address of the host, in the first DB among the sources.
// LearnHostKey is called once the user is authenticated, with the arguments of
// VerifyHostKey, by nacre.Dial or by package hostkeys. A key that is on record is
// left alone.
//
// A failure to write is told to Trace alone, and the key is recorded the next
// time. An error, a [*KeyError], means that the key must not be trusted after
// all: meanwhile the key was revoked, or another key of the host was recorded.
// The only other error is that ctx has ended during the wait for a lock.
func (p *Policy) LearnHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to learn")
	}
	a, err := p.lookupAs(addr)
	if err != nil {
		return err
	}
	dbs := p.dbs()
	if len(dbs) == 0 {
		return nil
	}
	plain := sshkey.Plain(key)
	c := contact{name: a.Name, key: string(plain.Marshal())}
	names, isNew := p.toLearn(c, addr, a, remote, key)
	if len(names) == 0 {
		return nil
	}
	d := dbs[0]
	recorded, err := d.record(ctx, &hostfile.Entry{Key: plain, Names: names, Hash: p.HashKnownHosts})
	if refusal := (*KeyError)(nil); errors.As(err, &refusal) {
		refusal.Addr, refusal.Key = addr, key
		if refusal.Kind == Changed && refusal.Name != a.Name {
			refusal.Kind = AddressChanged
		}
		p.forget(c)
		return refusal
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		p.trace(Change{Name: strings.Join(names, ","), File: d.file, Key: plain, Err: err})
		return nil
	}
	if isNew {
		p.forget(c)
	}
	if len(recorded) > 0 {
		p.trace(Change{Name: strings.Join(recorded, ","), File: d.file, Key: plain})
	}
	return nil
}

// toLearn returns the names for which the key is new.
func (p *Policy) toLearn(
	c contact, addr string, a hostfile.Address, remote net.Addr, key ssh.PublicKey,
) (names []string, isNew bool) {
	p.mu.Lock()
	isNew = p.accepted[c] && hostfile.Recordable(a.Name)
	if isNew && p.StrictHostKeyChecking == StrictAcceptNew {
		if p.fresh == nil {
			p.fresh = make(map[contact]bool)
		}
		p.fresh[c] = true
	}
	p.mu.Unlock()
	if isNew {
		names = append(names, a.Name)
	}
	// An IP address is recorded beside its host, unless the host was found
	// without its port, or a source that is no DB vouched for the host.
	ip, ok := p.hostIP(addr, a, remote, key)
	named, addressed := isNew, false
	for _, d := range p.dbs() {
		named = named || index(d.find(a).plain, key) >= 0
		addressed = addressed || ok && len(d.find(ip).plain) > 0
	}
	if ok && named && !addressed {
		names = append(names, ip.Name)
	}
	return names, isNew
}

// forget drops an accepted key that is on record now, or was refused at last.
func (p *Policy) forget(c contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accepted, c)
}
