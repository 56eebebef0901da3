package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxAccepted bounds the new keys that a Policy remembers until they are on
// record. A server that refuses the login may show another one each time.
const maxAccepted = 1 << 16

// Checking says what a [Policy] does with the key of a host that none of its
// sources knows. What is on record differently, or revoked, is never accepted.
type Checking int

const (
	// Strict refuses it, as StrictHostKeyChecking=yes does.
	Strict Checking = iota
	// AcceptNew accepts it, and records it once the user is authenticated.
	AcceptNew
	// Ask has a person decide, and then records it as AcceptNew does.
	Ask
)

// Source is a host-key verifier as part of a [Policy]: a [DB], a [Pin], a
// [Callback], [Revocations], [DNS], or a type of one's own. It returns nil for a
// key that is right, and a [*KeyError] of Kind [Unknown] if it has nothing to say
// about the host. Every other error is a refusal.
type Source interface {
	VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

// Policy is a host-key verifier made of several sources, and says what becomes
// of hosts that none of them knows. The zero Policy refuses every key. There is
// no other state than that of a Policy and its DBs: give each hop of a jump its
// own. It is not to be copied, nor its fields to be changed, once it is in use;
// its methods may be called concurrently.
//
// These are OpenSSH's verdicts, and ours, with one DB as the only source:
//
//	key on record        Strict    AcceptNew   Ask     OpenSSH's "no"
//	this one             accept    accept      accept  accept
//	none                 refuse    accept      ask     accept
//	other, of any type   refuse    refuse      refuse  without password
//	certified            accept    accept      accept  accept
//	none, badly so       refuse    accept      ask     accept
//	revoked              refuse    refuse      refuse  without password
//	other, for address   refuse    refuse      ask     accept
//
// For "no" there is AcceptNew, which refuses what "no" would doubt.
type Policy struct {
	// Sources are asked in order, and the first one that knows the host decides.
	// What any DB or Revocations among them revokes is refused before.
	Sources []Source

	// Checking is what happens if none knows the host.
	Checking Checking

	// Prompt puts a question to a person, for Ask and UpdateAsk; nil is
	// Terminal(nil). There is one question at a time. The answers "yes" and "no"
	// count, and "yes" can be given as the fingerprint itself. It has to return
	// when ctx ends.
	Prompt func(ctx context.Context, q *Question) (answer string, err error)

	// Alias is looked up, recorded and compared with certificates in place of
	// the host's name and port: HostKeyAlias.
	Alias string

	// CheckAddress has the key compared with what the DBs have on record for the
	// host's IP address, as with CheckHostIP. It is for direct connections; the
	// loopback addresses are not checked, nor are certificates.
	CheckAddress bool

	// Hash has new names hashed even in a file that has no hashed ones.
	Hash bool

	// Update is what becomes of keys that a known host announces.
	Update Update

	// Trace gets every key that was recorded or removed, and what could not be;
	// nil is no one. It may be called concurrently.
	Trace func(Change)

	mu       sync.Mutex
	accepted map[contact]bool // new, and not on record yet
	fresh    map[contact]bool // recorded unseen by AcceptNew: see UpdateHostKeys
	asking   map[contact]*asked
	turn     turn // to ask a person
}

// contact is a key of a host.
type contact struct {
	name    string // as known_hosts has it
	key     string // in wire form
	address string // of those that other keys are on record for; mostly empty
}

// VerifyHostKey returns nil if key is accepted for addr, "host:port" as the
// user named it; remote is the address of the connection. A refusal is a
// [*KeyError], a [*PinError] or what another Source has returned. It waits where
// a source or a person has to be asked, and returns when ctx ends.
func (p *Policy) VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to verify")
	}
	t, err := p.target(addr)
	if err != nil {
		return err
	}
	if refusal := p.revocation(key); refusal != nil {
		refusal.Addr, refusal.Name, refusal.Key = addr, t.name, key
		return refusal
	}
	c := contact{name: t.name, key: string(plainKey(key).Marshal())}
	unknown, err := p.consult(ctx, addr, remote, key)
	if err != nil {
		return err
	}
	if unknown == nil {
		p.mu.Lock()
		delete(p.fresh, c)
		p.mu.Unlock()
	} else {
		unknown.Addr, unknown.Name, unknown.Key = addr, t.name, key
	}
	return p.decide(ctx, c, remote, unknown, p.checkAddress(addr, t, remote, key))
}

// decide takes what is known of the host, and of its address: nil is that there
// is no objection.
func (p *Policy) decide(ctx context.Context, c contact, remote net.Addr, unknown, address *KeyError) error {
	ask := p.Checking == Ask && (unknown == nil || recordable(c.name))
	switch {
	case unknown == nil && address == nil:
		return nil
	case ask:
		return p.askOnce(ctx, c, remote, unknown, address)
	case address != nil:
		return address
	case p.Checking == Strict:
		return unknown
	case !recordable(c.name):
		unknown.Err = join(unknown.Err, fmt.Errorf("host name %s cannot be recorded", quote(c.name)))
		return unknown
	case len(p.dbs()) == 0:
		unknown.Err = join(unknown.Err, errors.New("there is no DB to record it in"))
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

// consult asks the sources. unknown is set if none of them knows the host, or
// one knows no more than an authority whose certificate is bad.
func (p *Policy) consult(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) (unknown *KeyError, err error) {
	all := &KeyError{Kind: Unknown}
	for i, s := range p.Sources {
		if s == nil {
			return nil, fmt.Errorf("knownhosts: Policy.Sources[%d] is nil", i)
		}
		name := addr
		if _, dns := s.(*DNS); p.Alias != "" && !dns {
			name = net.JoinHostPort(p.Alias, "22")
		}
		err := s.VerifyHostKey(ctx, name, remote, key)
		if err == nil {
			return nil, nil
		}
		var refusal *KeyError
		if !errors.As(err, &refusal) {
			return nil, err
		}
		// Who shows a bad certificate could as well show the key within, which
		// this source does not know.
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
		all.Err = join(all.Err, refusal.Err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return all, nil
}

// target is what addr is looked up as.
func (p *Policy) target(addr string) (target, error) {
	if p.Alias != "" {
		addr = net.JoinHostPort(p.Alias, "22")
	}
	return parseTarget(addr)
}

// dbs are the databases among the sources. New keys go to the first one.
func (p *Policy) dbs() []*DB {
	var dbs []*DB
	for _, s := range p.Sources {
		if d, ok := s.(*DB); ok {
			dbs = append(dbs, d)
		}
	}
	return dbs
}

// checkAddress returns an error if other keys are on record for the address.
func (p *Policy) checkAddress(addr string, t target, remote net.Addr, key ssh.PublicKey) *KeyError {
	address, ok := p.address(addr, t, remote, key)
	if !ok {
		return nil
	}
	for _, d := range p.dbs() {
		known := d.find(address).plain
		if len(known) == 0 {
			continue
		}
		if index(known, key) < 0 {
			return &KeyError{Addr: addr, Name: address.name, Key: key, Kind: AddressChanged, Known: known}
		}
		break
	}
	return nil
}

// address returns what known_hosts calls the address of a connection, if that
// is to be checked.
func (p *Policy) address(addr string, t target, remote net.Addr, key ssh.PublicKey) (target, bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if _, certified := key.(*ssh.Certificate); !p.CheckAddress || !ok || certified || tcp.IP.IsLoopback() {
		return target{}, false
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return target{}, false
	}
	ip := net.TCPAddr{IP: tcp.IP, Zone: tcp.Zone}
	host, _, err := net.SplitHostPort(ip.String())
	if err != nil {
		return target{}, false
	}
	address, err := parseTarget(net.JoinHostPort(host, port))
	return address, err == nil && address.host != t.host
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
// the sources know, in their order; see [DB.HostKeyAlgorithms].
func (p *Policy) HostKeyAlgorithms(addr string) []string {
	if p.Alias != "" {
		addr = net.JoinHostPort(p.Alias, "22")
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
// read passwords and change what is sent. It is for hosts that exist for the
// length of a test.
type InsecureAcceptAny struct{}

// VerifyHostKey returns nil.
func (InsecureAcceptAny) VerifyHostKey(context.Context, string, net.Addr, ssh.PublicKey) error {
	return nil
}
