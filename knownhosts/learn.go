package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Change is a key that a [Policy] has recorded or removed, or could not.
type Change struct {
	Name    string        // "host", "[host]:port" or an alias; several are separated by commas
	File    string        // empty for a DB in memory
	Key     ssh.PublicKey // nil if Err is about no single key
	Removed bool          // the key is no longer on record, and otherwise it is now
	Err     error         // why nothing was changed; nil if it was
}

// String is a line for a log or a terminal.
func (c Change) String() string {
	name, place := c.Name, position(c.File, 0)
	text := ""
	switch {
	case c.Err != nil && c.Key == nil:
		text = fmt.Sprintf("keys of %s in %s are left as they are: %v", name, place, c.Err)
	case c.Err != nil:
		text = fmt.Sprintf("%s of %s is not recorded in %s: %v", describe(c.Key), name, place, c.Err)
	case c.Removed:
		text = fmt.Sprintf("removed %s of %s from %s", describe(c.Key), name, place)
	default:
		text = fmt.Sprintf("recorded %s of %s in %s", describe(c.Key), name, place)
	}
	return oneLine(text)
}

func (p *Policy) trace(c Change) {
	if p.Trace != nil {
		p.Trace(c)
	}
}

// LearnHostKey records a key that VerifyHostKey has accepted as new, and with
// CheckAddress the address if that is new, in the first DB among the sources.
// It is to be called once the user is authenticated, with the same arguments;
// nacre.Dial does so. For a key that is on record it does nothing.
//
// What cannot be written is told to Trace alone, and tried again the next time.
// An error, a [*KeyError], means that the key must not be trusted after all:
// meanwhile it was revoked, or another key of the host was recorded. The only
// other error is that ctx has ended during the wait for a lock.
func (p *Policy) LearnHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to learn")
	}
	t, err := p.target(addr)
	if err != nil {
		return err
	}
	dbs := p.dbs()
	if len(dbs) == 0 {
		return nil
	}
	c := contact{name: t.name, key: string(plainKey(key).Marshal())}
	names, isNew := p.toLearn(c, addr, t, remote, key)
	if len(names) == 0 {
		return nil
	}
	d := dbs[0]
	recorded, err := d.record(ctx, &entry{key: plainKey(key), names: names, hash: p.Hash})
	if refusal := (*KeyError)(nil); errors.As(err, &refusal) {
		refusal.Addr, refusal.Key = addr, key
		if refusal.Kind == Changed && refusal.Name != t.name {
			refusal.Kind = AddressChanged
		}
		p.forget(c)
		return refusal
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		p.trace(Change{Name: strings.Join(names, ","), File: d.file, Key: plainKey(key), Err: err})
		return nil
	}
	if isNew {
		p.forget(c)
	}
	if len(recorded) > 0 {
		p.trace(Change{Name: strings.Join(recorded, ","), File: d.file, Key: plainKey(key)})
	}
	return nil
}

// toLearn returns the names for which the key is new.
func (p *Policy) toLearn(c contact, addr string, t target, remote net.Addr, key ssh.PublicKey) (names []string, isNew bool) {
	p.mu.Lock()
	isNew = p.accepted[c] && recordable(t.name)
	if isNew && p.Checking == AcceptNew {
		if p.fresh == nil {
			p.fresh = make(map[contact]bool)
		}
		p.fresh[c] = true
	}
	p.mu.Unlock()
	if isNew {
		names = append(names, t.name)
	}
	// An address is recorded beside its host: not if that was found without
	// its port, or vouched for by a source that is no DB.
	address, ok := p.address(addr, t, remote, key)
	named, addressed := isNew, false
	for _, d := range p.dbs() {
		named = named || index(d.find(t).plain, key) >= 0
		addressed = addressed || ok && len(d.find(address).plain) > 0
	}
	if ok && named && !addressed {
		names = append(names, address.name)
	}
	return names, isNew
}

// forget is for a key that is on record now, or never will be.
func (p *Policy) forget(c contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accepted, c)
}
