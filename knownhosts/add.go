package knownhosts

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// Add records key for addr, a "host:port" as for [DB.VerifyHostKey], in memory
// and at the end of the file that was named first to [Load]. The caller has made
// sure that the key is right: Add records a key beside different keys on record.
// Of a certificate the plain key is recorded. A key that is on record for addr
// already is not recorded again, and a revoked key is refused with a [*KeyError].
// The name is hashed if the file has hashed names.
//
// A missing file is created with mode 0600, and its directories with 0700. A file
// that exists keeps its mode and owner, and a symbolic link stays a link. On Unix
// Add holds a lock of the file, and heeds lines that other processes have written
// since Load: many processes may learn hosts into one file, and none of them
// writes a key that another has written. The wait for the lock lasts as long as
// others use the lock to write, and otherwise 10 seconds. When writing fails,
// nothing is recorded in memory either, and the part of the line that has reached
// the file is taken back.
func (d *DB) Add(addr string, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to add")
	}
	a, err := parseAddr(addr)
	if err != nil {
		return err
	}
	_, err = d.record(context.Background(), &hostfile.Entry{Key: sshkey.Plain(key), Names: []string{a.Name}, Beside: true})
	var refusal *KeyError
	if errors.As(err, &refusal) {
		refusal.Addr, refusal.Key = addr, key
	}
	return err
}

// record writes an entry for the names without the key, and returns these names.
func (d *DB) record(ctx context.Context, e *hostfile.Entry) (recorded []string, err error) {
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("knownhosts: %w", err)
	}
	if err := d.adding.take(ctx); err != nil {
		return nil, fmt.Errorf("knownhosts: other keys are still being recorded: %w", err)
	}
	defer d.adding.release()
	if refusal := d.revocation(e.Key); refusal != nil {
		return nil, refusal
	}
	e.Names = d.without(e)
	if len(e.Names) == 0 {
		return nil, nil
	}
	lines := e.Lines()
	if d.file != "" {
		err = hostfile.Edit(ctx, d.file, func(content []byte) ([]byte, error) {
			content, lines, err = e.Append(content, d.file)
			return content, err
		})
		if conflict := (*hostfile.ConflictError)(nil); errors.As(err, &conflict) {
			return nil, d.refusal(conflict)
		}
		if err != nil {
			return nil, fmt.Errorf("knownhosts: %w", ctxerr.Join(ctx, err))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range lines {
		d.insert(l)
	}
	return e.Names, nil
}

// refusal returns the refusal for lines that others have written since Load.
func (d *DB) refusal(c *hostfile.ConflictError) *KeyError {
	refusal := &KeyError{Name: c.Name, Kind: Changed}
	if c.Revoked {
		refusal.Kind = Revoked
	}
	for _, l := range c.Lines {
		refusal.Known = append(refusal.Known, d.line(l))
	}
	return refusal
}

// without returns the names for which the DB has another key or none.
func (d *DB) without(e *hostfile.Entry) []string {
	var names []string
	for _, name := range e.Names {
		if index(d.find(hostfile.Address{Host: name, Name: name}).plain, e.Key) < 0 {
			names = append(names, name)
		}
	}
	return names
}
