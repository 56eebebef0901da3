package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// maxAccepted bounds the new keys that a Policy remembers until they are on
// record. A server that refuses the login may show another key each time.
const maxAccepted = 1 << 16

// StrictHostKeyChecking says how a [Policy] treats the key of a host that none of
// its sources knows, like the option of ssh_config. A key that differs from the
// record, or is revoked, is never accepted.
type StrictHostKeyChecking int

const (
	// StrictYes refuses the key.
	StrictYes StrictHostKeyChecking = iota
	// StrictAcceptNew accepts the key, and records it once the user is
	// authenticated.
	StrictAcceptNew
	// StrictAsk lets a person decide, and then records the key like
	// StrictAcceptNew.
	StrictAsk
)

// Source is a host-key verifier as part of a [Policy]: a [DB], a [Pin], a
// [Callback], [Revocations], [DNS], or a type of the caller's. A Source returns
// nil for a right key, and a [*KeyError] of Kind [Unknown] if it has nothing to
// say about the host. Every other error is a refusal.
type Source interface {
	VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

// Policy is a host-key verifier of several sources, and decides about hosts that
// none of them knows. The fields are named like options of ssh_config. The zero
// Policy refuses every key. There is no other state than that of a Policy and its
// DBs: give each hop of a jump a Policy of its own. A Policy in use is not to be
// copied, and its fields are not to be changed. Its methods may be called
// concurrently.
//
// These are the verdicts of OpenSSH and of a Policy with one DB as the only
// source:
//
//	key on record          yes       accept-new  ask     OpenSSH's "no"
//	the key shown          accept    accept      accept  accept
//	none                   refuse    accept      ask     accept
//	other, of any type     refuse    refuse      refuse  without password
//	certified              accept    accept      accept  accept
//	none, bad certificate  refuse    accept      ask     accept
//	revoked                refuse    refuse      refuse  without password
//	other, for address     refuse    refuse      ask     accept
//
// For "no" there is StrictAcceptNew, which refuses where "no" would doubt.
type Policy struct {
	// Sources are asked in order, and the first source that knows the host
	// decides. Keys that any DB or Revocations among them revokes are refused
	// before.
	Sources []Source

	// StrictHostKeyChecking decides if no source knows the host.
	StrictHostKeyChecking StrictHostKeyChecking

	// Prompt puts a question to a person, for StrictAsk and UpdateAsk; nil is
	// Terminal(nil). There is one question at a time. The answers "yes" and "no"
	// count, and so does the fingerprint for "yes". Prompt has to return when ctx
	// ends.
	Prompt func(ctx context.Context, q *Question) (answer string, err error)

	// HostKeyAlias is looked up, recorded and compared with certificates in place
	// of the host's name and port.
	HostKeyAlias string

	// CheckHostIP has the key compared with the record of the DBs for the host's
	// IP address. CheckHostIP is for direct connections. Loopback addresses are
	// not checked, nor are certificates.
	CheckHostIP bool

	// HashKnownHosts hashes new names even in a file without hashed names.
	HashKnownHosts bool

	// UpdateHostKeys decides about keys that a known host announces.
	UpdateHostKeys UpdateHostKeys

	// Trace gets every key that was recorded or removed, or could not be; nil is
	// nobody. Trace may be called concurrently.
	Trace func(Change)

	mu       sync.Mutex
	accepted map[contact]bool // new keys that are not on record yet
	fresh    map[contact]bool // keys that StrictAcceptNew has recorded: see RotateHostKeys
	asking   map[contact]*asked
	turn     turn // to ask a person
}

// contact is a key of a host.
type contact struct {
	name    string // an [hostfile.Address.Name]
	key     string // in wire form
	address string // the address whose record has other keys; mostly empty
}

// VerifyHostKey returns nil if key is accepted for addr, a "host:port" as the
// user named it; remote is the address of the connection. A refusal is a
// [*KeyError], a [*PinError] or the error of another Source. VerifyHostKey waits
// where a source or a person has to be asked, and returns when ctx ends.
func (p *Policy) VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errNoKey
	}
	a, err := p.lookupAs(addr)
	if err != nil {
		return err
	}
	if refusal := p.revocation(key); refusal != nil {
		refusal.Addr, refusal.Name, refusal.Key = addr, a.Name, key
		return refusal
	}
	c := contact{name: a.Name, key: string(sshkey.Plain(key).Marshal())}
	unknown, err := p.consult(ctx, addr, remote, key)
	if err != nil {
		return err
	}
	if unknown == nil {
		p.mu.Lock()
		delete(p.fresh, c)
		p.mu.Unlock()
	} else {
		unknown.Addr, unknown.Name, unknown.Key = addr, a.Name, key
	}
	return p.decide(ctx, c, remote, unknown, p.checkHostIP(addr, a, remote, key))
}

// decide takes the objection to the host, and to its address. nil is no
// objection.
func (p *Policy) decide(ctx context.Context, c contact, remote net.Addr, unknown, address *KeyError) error {
	ask := p.StrictHostKeyChecking == StrictAsk && (unknown == nil || hostfile.Recordable(c.name))
	switch {
	case unknown == nil && address == nil:
		return nil
	case ask:
		return p.askOnce(ctx, c, remote, unknown, address)
	case address != nil:
		return address
	case p.StrictHostKeyChecking == StrictYes:
		return unknown
	case !hostfile.Recordable(c.name):
		unknown.Err = hostfile.Join(unknown.Err, fmt.Errorf("host name %s cannot be recorded", hostfile.Quote(c.name)))
		return unknown
	case len(p.dbs()) == 0:
		unknown.Err = hostfile.Join(unknown.Err, errors.New("no DB among Policy.Sources can record the key"))
		return unknown
	}
	p.accept(c)
	return nil
}

func (p *Policy) accept(c contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted == nil {
		p.accepted = make(map[contact]bool)
	}
	for old := range p.accepted {
		if len(p.accepted) < maxAccepted {
			break
		}
		delete(p.accepted, old)
	}
	p.accepted[c] = true
}

// consult asks the sources. unknown is set if no source knows the host, or if all
// knowledge is an authority whose certificate is bad.
func (p *Policy) consult(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) (unknown *KeyError, err error) {
	all := &KeyError{Kind: Unknown}
	for i, s := range p.Sources {
		if s == nil {
			return nil, fmt.Errorf("knownhosts: Policy.Sources[%d] is nil", i)
		}
		name := addr
		if _, dns := s.(*DNS); p.HostKeyAlias != "" && !dns {
			name = net.JoinHostPort(p.HostKeyAlias, "22")
		}
		err := s.VerifyHostKey(ctx, name, remote, key)
		if err == nil {
			return nil, nil
		}
		var refusal *KeyError
		if !errors.As(err, &refusal) {
			return nil, ctxerr.Join(ctx, err)
		}
		// A server with a bad certificate could as well show the key within, and
		// this source does not know that key.
		plainUnknown := refusal.Kind == BadCertificate && len(refusal.Known) == 1
		if refusal.Kind != Unknown && !plainUnknown {
			named := *refusal
			named.Addr = addr
			return nil, &named
		}
		if plainUnknown {
			all.Kind = BadCertificate
		}
		all.Known = append(all.Known, refusal.Known...)
		all.Err = hostfile.Join(all.Err, refusal.Err)
		if err := ctxerr.Of(ctx); err != nil {
			return nil, fmt.Errorf("knownhosts: verification of the host key: %w", err)
		}
	}
	return all, nil
}

// lookupAs returns the names under which addr is looked up.
func (p *Policy) lookupAs(addr string) (hostfile.Address, error) {
	if p.HostKeyAlias != "" {
		addr = net.JoinHostPort(p.HostKeyAlias, "22")
	}
	return parseAddr(addr)
}

// dbs returns the databases among the sources. New keys go to the first of them.
func (p *Policy) dbs() []*DB {
	var dbs []*DB
	for _, s := range p.Sources {
		if d, ok := s.(*DB); ok {
			dbs = append(dbs, d)
		}
	}
	return dbs
}

// revoker is a source that bans keys, whichever host shows them.
type revoker interface {
	revocation(key ssh.PublicKey) *KeyError
}

func (p *Policy) revocation(key ssh.PublicKey) *KeyError {
	for _, s := range p.Sources {
		if r, ok := s.(revoker); ok {
			if refusal := r.revocation(key); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

// HostKeyAlgorithms returns the algorithms by which the server shows a key that
// the sources know, in the order of the sources; see [DB.HostKeyAlgorithms].
func (p *Policy) HostKeyAlgorithms(addr string) []string {
	if p.HostKeyAlias != "" {
		addr = net.JoinHostPort(p.HostKeyAlias, "22")
	}
	var names []string
	for _, s := range p.Sources {
		preferrer, ok := s.(interface{ HostKeyAlgorithms(addr string) []string })
		if !ok {
			continue
		}
		for _, name := range preferrer.HostKeyAlgorithms(addr) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// InsecureAcceptAny accepts every key of every host: whoever is in between can
// read passwords and change all that is sent. InsecureAcceptAny is for hosts that
// exist for the length of a test.
type InsecureAcceptAny struct{}

// VerifyHostKey returns nil.
func (InsecureAcceptAny) VerifyHostKey(context.Context, string, net.Addr, ssh.PublicKey) error {
	return nil
}
