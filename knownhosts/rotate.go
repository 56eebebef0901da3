package knownhosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Update says what a [Policy] does when a host that it knows announces all of
// its keys: UpdateHostKeys.
type Update int

const (
	// UpdateOff leaves everything as it is.
	UpdateOff Update = iota
	// UpdateOn records new keys that the host proves to have, and removes those
	// that it has no more.
	UpdateOn
	// UpdateAsk has a person agree first.
	UpdateAsk
)

// maxAnnounced bounds the keys that a host may announce.
const maxAnnounced = 64

// UpdateHostKeys takes notice of the keys that the server has announced after
// authentication, OpenSSH PROTOCOL section 2.5, on a connection that began with
// key; the other arguments are those of VerifyHostKey. prove has the server sign
// for the keys that are new, and returns an error unless it can for every one.
// nacre.Dial calls all that.
//
// What changes is one file of the first DB among the sources: the first one in
// which a plain line for the host has key. A file that is not to be changed, such
// as the system's, belongs in another DB. Nothing changes under the conditions of
// OpenSSH: if the host was verified by a certificate, has just been learned
// unseen, or only by its name without port; if a line for it has a marker,
// wildcards or more than two names; if a key that is announced, or would be
// removed, is on record for other names. Nor does it if one is revoked.
//
// nil means that there was nothing to do, or that it was done. The error tells
// what stood against it; Trace gets it too.
func (p *Policy) UpdateHostKeys(
	ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey, announced []ssh.PublicKey,
	prove func(ctx context.Context, keys []ssh.PublicKey) error,
) error {
	if key == nil || slices.Contains(announced, nil) {
		return errors.New("knownhosts: no host key to update, or none announced")
	}
	t, err := p.target(addr)
	if err != nil {
		return err
	}
	dbs := p.dbs()
	if _, certified := key.(*ssh.Certificate); certified || p.Update == UpdateOff || len(dbs) == 0 {
		return nil
	}
	file := dbs[0].fileWith(t.name, key)
	if file == "" {
		return nil
	}
	p.mu.Lock()
	fresh := p.fresh[contact{name: t.name, key: string(key.Marshal())}]
	p.mu.Unlock()
	if fresh {
		return nil
	}
	r := &rotation{addr: addr, remote: remote, key: key, name: t.name, file: file, hash: p.Hash}
	if address, ok := p.address(addr, t, remote, key); ok {
		r.address = address.name
	}
	if r.announced, err = p.announced(announced); err == nil {
		err = p.rotate(ctx, r, dbs[0], prove)
	}
	if err != nil {
		p.trace(Change{Name: t.name, File: r.file, Err: err})
		return fmt.Errorf("knownhosts: keys of %s in %s are left as they are: %w", quote(t.name), r.file, err)
	}
	return nil
}

// fileWith returns the first file that has key on a plain line for a name, and
// "" if none has, or only memory.
func (d *DB) fileWith(name string, key ssh.PublicKey) string {
	if !d.onDisk {
		return ""
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	blob := key.Marshal()
	for _, l := range d.lines {
		if l.Marker == "" && l.hosts.match(name) && bytes.Equal(l.Key.Marshal(), blob) {
			return l.File
		}
	}
	return ""
}

// announced returns the keys that can be recorded.
func (p *Policy) announced(keys []ssh.PublicKey) ([]ssh.PublicKey, error) {
	if len(keys) > maxAnnounced {
		return nil, fmt.Errorf("the server has announced more than %d keys", maxAnnounced)
	}
	var usable []ssh.PublicKey
	seen := make(map[string]bool)
	for _, k := range keys {
		blob := string(k.Marshal())
		switch {
		case seen[blob]:
			return nil, fmt.Errorf("the server has announced %s twice", describe(k))
		case !supported(k.Type()): // certificates too
			continue
		}
		if refusal := p.revocation(k); refusal != nil {
			return nil, fmt.Errorf("the server has announced a revoked key, %s", describe(k))
		}
		seen[blob] = true
		usable = append(usable, k)
	}
	return usable, nil
}

// rotation is an update of one file.
type rotation struct {
	addr          string // as UpdateHostKeys got it, and so remote and key
	remote        net.Addr
	key           ssh.PublicKey
	name, address string // address may be empty
	announced     []ssh.PublicKey
	file          string
	hash          bool

	proven map[string]bool // new keys, in wire form
}

// rotate looks, has the server prove what is new, asks, and looks again under
// the lock, since others may have changed the file meanwhile.
func (p *Policy) rotate(
	ctx context.Context, r *rotation, d *DB, prove func(ctx context.Context, keys []ssh.PublicKey) error,
) error {
	if len(r.announced) == 0 {
		return nil
	}
	content, err := readFile(r.file)
	if err != nil {
		return err
	}
	plan, err := r.plan(content)
	if err != nil || plan.empty() {
		return err
	}
	r.proven = make(map[string]bool)
	if len(plan.added) > 0 {
		if err := prove(ctx, plan.added); err != nil {
			return fmt.Errorf("the server has not proven that it has its new keys: %w", err)
		}
		for _, k := range plan.added {
			r.proven[string(k.Marshal())] = true
		}
	}
	if p.Update == UpdateAsk {
		if err := p.askUpdate(ctx, r, plan); err != nil {
			return err
		}
	}
	if plan, err = d.rotate(ctx, r); err != nil {
		return err
	}
	for _, k := range plan.added {
		p.trace(Change{Name: r.name, File: r.file, Key: k})
	}
	for _, k := range plan.removed {
		p.trace(Change{Name: r.name, File: r.file, Key: k, Removed: true})
	}
	return nil
}

func (p *Policy) askUpdate(ctx context.Context, r *rotation, plan *plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The server has changed its host keys, and its key on record vouches for the change to %s in %s.\n", r.name, r.file)
	for _, k := range plan.added {
		fmt.Fprintf(&b, "New: %s\n", describe(k))
	}
	for _, k := range plan.removed {
		fmt.Fprintf(&b, "No longer in use: %s\n", describe(k))
	}
	b.WriteString("Accept updated host keys (yes/no)? ")
	yes, err := p.ask(ctx, &Question{Text: visible(b.String()), Addr: r.addr, Remote: r.remote})
	if err == nil && !yes {
		err = errors.New("the update was declined")
	}
	return err
}

// rotate edits the file, and takes all of it into memory.
func (d *DB) rotate(ctx context.Context, r *rotation) (*plan, error) {
	if err := d.adding.take(ctx); err != nil {
		return nil, fmt.Errorf("waiting for others that record keys: %w", err)
	}
	defer d.adding.release()
	var (
		p       *plan
		written []byte
	)
	err := editFile(ctx, r.file, func(content []byte) ([]byte, error) {
		var err error
		if p, err = r.plan(content); err != nil || p.empty() {
			written = content
			return content, err
		}
		for _, k := range p.added {
			if !r.proven[string(k.Marshal())] { // it was there when we looked first
				return nil, errors.New("the file has changed meanwhile")
			}
		}
		written = r.apply(content, p)
		return written, nil
	})
	if err != nil {
		return nil, err
	}
	d.reload(r.file, written)
	return p, nil
}

// reload takes the lines of a file anew. What it has revoked stays revoked.
func (d *DB) reload(file string, content []byte) {
	now := &DB{onDisk: d.onDisk}
	now.parseAll(file, content)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l.File != file {
			now.lines = append(now.lines, l)
		}
	}
	d.lines = now.lines
	for blob, l := range now.revoked {
		if d.revoked == nil {
			d.revoked = make(map[string]Line)
		}
		d.revoked[blob] = l
	}
}

// plan is what has to change.
type plan struct {
	added, removed []ssh.PublicKey
	drop           map[int]bool // numbers of lines
	// named and addressed are the keys, in wire form, that are on record for the
	// name and for the address.
	named, addressed map[string]bool
}

func (p *plan) empty() bool { return len(p.added) == 0 && len(p.removed) == 0 }

// plan compares what is announced with the content of the file. It is empty if
// the host was not verified by a line of this file.
func (r *rotation) plan(content []byte) (*plan, error) {
	p := &plan{drop: map[int]bool{}, named: map[string]bool{}, addressed: map[string]bool{}}
	offered := make(map[string]bool)
	for _, k := range r.announced {
		offered[string(k.Marshal())] = true
	}
	elsewhere := make(map[string]Line) // keys on lines that are not about the host
	number := 0
	for text := range bytes.Lines(content) {
		number++
		l, ok := r.parse(text, number)
		if !ok {
			continue
		}
		blob := string(l.Key.Marshal())
		ours, address := l.hosts.match(r.name), r.address != "" && l.hosts.match(r.address)
		switch {
		case !ours && !address:
			elsewhere[blob] = l.Line
			continue
		case l.Marker != "" || isComplex(l.hosts):
			return nil, fmt.Errorf("%s:%d is about it and has a marker, a pattern or many names", r.file, number)
		case r.address != "" && ours != address && isPair(l.hosts):
			return nil, fmt.Errorf("%s:%d is about it with another name or address", r.file, number)
		}
		p.named[blob] = p.named[blob] || ours
		p.addressed[blob] = p.addressed[blob] || address
		if !offered[blob] {
			p.drop[number] = true
			p.removed = append(p.removed, l.Key)
		}
	}
	if !p.named[string(r.key.Marshal())] {
		return &plan{}, nil // some other source has vouched for the host
	}
	for _, k := range r.announced {
		if blob := k.Marshal(); !p.named[string(blob)] && !p.addressed[string(blob)] {
			p.added = append(p.added, k)
		}
	}
	if p.empty() {
		return p, nil
	}
	// A host with several names, or several hosts with one key: to change one of
	// the names would make them inconsistent.
	for _, k := range slices.Concat(r.announced, p.removed) {
		if l, ok := elsewhere[string(k.Marshal())]; ok {
			return nil, fmt.Errorf("%s is about another host with such a key", l)
		}
	}
	return p, nil
}

// parse reads a line, also one that revokes: there its names matter as well.
func (r *rotation) parse(text []byte, number int) (line, bool) {
	text = trimLine(text, number)
	if len(text) == 0 || text[0] == '#' {
		return line{}, false
	}
	l, err := parseLine(string(text))
	if err != nil {
		return line{}, false
	}
	l.File, l.Number = r.file, number
	if l.Marker == markerRevoked {
		f, _ := splitLine(string(text))
		if l.hosts, err = parseHosts(f.hosts); err != nil {
			return line{}, false
		}
	}
	return l, true
}

// isPair tells whether a line has two names, one of which may be an address.
func isPair(hosts matcher) bool {
	l, ok := hosts.(patternList)
	return ok && strings.Contains(string(l), ",")
}

// apply leaves all other lines as they are, byte by byte.
func (r *rotation) apply(content []byte, p *plan) []byte {
	var edited []byte
	number := 0
	for text := range bytes.Lines(content) {
		if number++; !p.drop[number] {
			edited = append(edited, text...)
		}
	}
	if len(edited) > 0 && edited[len(edited)-1] != '\n' {
		edited = append(edited, '\n')
	}
	hash := r.hash || hasHashes(content)
	for _, k := range r.announced {
		blob := k.Marshal()
		var names []string
		if !p.named[string(blob)] {
			names = append(names, r.name)
		}
		if r.address != "" && !p.addressed[string(blob)] {
			names = append(names, r.address)
		}
		if len(names) > 0 {
			edited = append(edited, newLines(names, k, hash)...)
		}
	}
	return edited
}
