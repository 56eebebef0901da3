package knownhosts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// UpdateHostKeys says how a [Policy] treats keys announced by a known host, like
// the option of ssh_config.
type UpdateHostKeys int

const (
	// UpdateNo leaves everything as it is.
	UpdateNo UpdateHostKeys = iota
	// UpdateYes records new keys that the host proves, and removes keys that the
	// host has no more.
	UpdateYes
	// UpdateAsk has a person agree first.
	UpdateAsk
)

// maxAnnounced bounds the announced keys of a host.
const maxAnnounced = 64

// RotateHostKeys takes notice of the keys that the server has announced after
// authentication, OpenSSH PROTOCOL section 2.5, on a connection that began with
// key. addr, remote and key are the arguments of VerifyHostKey. prove has the
// server sign for the new keys, and returns an error unless all signatures are
// right. nacre.Dial and package hostkeys call RotateHostKeys.
//
// RotateHostKeys changes one file of the first DB among the sources: the first
// file in which a plain line for the host has key. A file that must not change,
// such as the system's, belongs in another DB. Nothing changes under the
// conditions of OpenSSH: if the host was verified by a certificate, was recorded
// by StrictAcceptNew just now, or is known only by its name without port; if a
// line for the host has a marker, wildcards or more than two names; if a key that
// is announced, or would be removed, is on record for other names. Nor does
// anything change if an announced key is revoked.
//
// nil means that the file is up to date, changed or not. The error says why the
// file was left alone; Trace gets the error too.
func (p *Policy) RotateHostKeys(
	ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey, announced []ssh.PublicKey,
	prove func(ctx context.Context, keys []ssh.PublicKey) error,
) error {
	if key == nil || slices.Contains(announced, nil) {
		return errors.New("knownhosts: no host key to update, or none announced")
	}
	a, err := p.lookupAs(addr)
	if err != nil {
		return err
	}
	dbs := p.dbs()
	if _, certified := key.(*ssh.Certificate); certified || p.UpdateHostKeys == UpdateNo || len(dbs) == 0 {
		return nil
	}
	file := dbs[0].fileWith(a.Name, key)
	if file == "" {
		return nil
	}
	p.mu.Lock()
	fresh := p.fresh[contact{name: a.Name, key: string(key.Marshal())}]
	p.mu.Unlock()
	if fresh {
		return nil
	}
	r := &rotation{
		Update: hostfile.Update{File: file, Name: a.Name, Key: key, Hash: p.HashKnownHosts},
		addr:   addr, remote: remote, prove: prove,
	}
	if ip, ok := p.hostIP(addr, a, remote, key); ok {
		r.Address = ip.Name
	}
	if r.Announced, err = p.announced(announced); err == nil {
		err = p.rotate(ctx, r, dbs[0])
	}
	if err != nil {
		p.trace(Change{Name: a.Name, File: file, Err: err})
		return fmt.Errorf("knownhosts: keys of %s in %s are left as they are: %w", hostfile.Quote(a.Name), file, err)
	}
	return nil
}

// fileWith returns the first file with key on a plain line for a name. The result
// is "" for a DB in memory, and without a line.
func (d *DB) fileWith(name string, key ssh.PublicKey) string {
	if !d.onDisk {
		return ""
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, l := range d.lines {
		if l.Marker == "" && l.Names.Match(name) && sshkey.Equal(l.Key, key) {
			return l.File
		}
	}
	return ""
}

// announced returns the recordable keys.
func (p *Policy) announced(keys []ssh.PublicKey) ([]ssh.PublicKey, error) {
	if len(keys) > maxAnnounced {
		return nil, fmt.Errorf("the server has announced more than %d keys", maxAnnounced)
	}
	var usable []ssh.PublicKey
	seen := make(map[string]bool)
	for _, k := range keys {
		blob := string(k.Marshal())
		if seen[blob] {
			return nil, fmt.Errorf("the server has announced %s twice", sshkey.Describe(k))
		}
		if _, ok := sshkey.HostType(k.Type()); !ok { // certificates, too
			continue
		}
		if refusal := p.revocation(k); refusal != nil {
			return nil, fmt.Errorf("the server has announced a revoked key, %s", sshkey.Describe(k))
		}
		seen[blob] = true
		usable = append(usable, k)
	}
	return usable, nil
}

// rotation is an update of one file on behalf of a connection.
type rotation struct {
	hostfile.Update

	addr   string // as for RotateHostKeys, like remote and prove
	remote net.Addr
	prove  func(ctx context.Context, keys []ssh.PublicKey) error
	proven map[string]bool // new keys, in wire form
}

// rotate makes a plan, has the server prove new keys, asks, and makes the plan
// again under the lock, since others may have changed the file meanwhile.
func (p *Policy) rotate(ctx context.Context, r *rotation, d *DB) error {
	if len(r.Announced) == 0 {
		return nil
	}
	content, err := hostfile.ReadFile(r.File)
	if err != nil {
		return err
	}
	plan, err := r.Plan(content)
	if err != nil || plan.Empty() {
		return err
	}
	r.proven = make(map[string]bool)
	if len(plan.Added) > 0 {
		if err := r.prove(ctx, plan.Added); err != nil {
			return fmt.Errorf("the server has not proven its new keys: %w", ctxerr.Join(ctx, err))
		}
		for _, k := range plan.Added {
			r.proven[string(k.Marshal())] = true
		}
	}
	if p.UpdateHostKeys == UpdateAsk {
		if err := p.askUpdate(ctx, r, plan); err != nil {
			return err
		}
	}
	if plan, err = d.rotate(ctx, r); err != nil {
		return ctxerr.Join(ctx, err)
	}
	for _, k := range plan.Added {
		p.trace(Change{Name: r.Name, File: r.File, Key: k})
	}
	for _, k := range plan.Removed {
		p.trace(Change{Name: r.Name, File: r.File, Key: k, Removed: true})
	}
	return nil
}

func (p *Policy) askUpdate(ctx context.Context, r *rotation, plan *hostfile.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The server has changed its host keys, and its key on record vouches for the change to %s in %s.\n", r.Name, r.File)
	for _, k := range plan.Added {
		fmt.Fprintf(&b, "New: %s\n", sshkey.Describe(k))
	}
	for _, k := range plan.Removed {
		fmt.Fprintf(&b, "No longer in use: %s\n", sshkey.Describe(k))
	}
	b.WriteString("Accept updated host keys (yes/no)? ")
	yes, err := p.ask(ctx, &Question{Text: hostfile.Visible(b.String()), Addr: r.addr, Remote: r.remote})
	if err == nil && !yes {
		err = errors.New("the update was declined")
	}
	return err
}

// rotate edits the file, and takes all lines of the file into memory.
func (d *DB) rotate(ctx context.Context, r *rotation) (*hostfile.Plan, error) {
	if err := d.adding.take(ctx); err != nil {
		return nil, fmt.Errorf("other keys are still being recorded: %w", err)
	}
	defer d.adding.release()
	var (
		plan    *hostfile.Plan
		written []byte
	)
	err := hostfile.Edit(ctx, r.File, func(content []byte) ([]byte, error) {
		var err error
		if plan, err = r.Plan(content); err != nil || plan.Empty() {
			written = content
			return content, err
		}
		for _, k := range plan.Added {
			if !r.proven[string(k.Marshal())] { // the first plan had no need of k
				return nil, errors.New("another program changed the file during the update")
			}
		}
		written = r.Apply(content, plan)
		return written, nil
	})
	if err != nil {
		return nil, err
	}
	d.reload(r.File, written)
	return plan, nil
}

// reload takes the lines of a file anew. Keys that the file has revoked stay
// revoked.
func (d *DB) reload(file string, content []byte) {
	var c hostfile.Content
	c.Parse(file, content)
	now := new(DB)
	now.fill(&c)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l.File != file {
			now.lines = append(now.lines, l)
		}
	}
	d.lines = now.lines
	if d.revoked == nil {
		d.revoked = now.revoked
	} else {
		maps.Copy(d.revoked, now.revoked)
	}
}
