package knownhosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// Add records key for addr, "host:port" as for [DB.VerifyHostKey], in memory
// and at the end of the file that was named first to [Load]. The caller has
// made sure that the key is right; a key that differs from those on record is
// recorded beside them. Of a certificate the plain key is recorded. A key that
// is on record for addr already is not recorded again, and a revoked one is
// refused with a [*KeyError].
//
// A missing file is created with mode 0600, and its directories with 0700; one
// that exists keeps its mode and owner, and a symbolic link stays one. The line
// goes out in a single write in append mode, so that several processes may add
// to one file; two that learn the same key at once may both write it, as with
// OpenSSH. When writing fails nothing is recorded in memory either.
func (d *DB) Add(addr string, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to add")
	}
	t, err := parseTarget(addr)
	if err != nil {
		return err
	}
	if !recordable(t.host) || len(t.name) > maxPattern {
		return fmt.Errorf("knownhosts: host name %s cannot be written to known_hosts", quote(t.host))
	}
	key = plainKey(key)
	if !supported(key.Type()) {
		return fmt.Errorf("knownhosts: key type %s cannot be written to known_hosts", quote(key.Type()))
	}

	d.adding.Lock()
	defer d.adding.Unlock()
	if l, ok := d.revocation(key); ok {
		return &KeyError{Addr: addr, Key: key, Kind: Revoked, Known: []Line{l}}
	}
	if index(d.find(t).plain, key) >= 0 {
		return nil
	}
	if d.file != "" {
		text := t.name + " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()) + "\n"
		if err := appendLine(d.file, text); err != nil {
			return fmt.Errorf("knownhosts: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.insert(line{Line: Line{File: d.file, Key: key}, hosts: patternList(t.name)})
	return nil
}

// recordable reports whether a line that begins with host means just that host:
// no marker, list, pattern or hash, and no second line.
func recordable(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune(" @?*#[]|'\"\\!,", r)
	})
}

// appendLine adds text, which ends with a line feed, to a file that other
// processes may be adding to.
func appendLine(name, text string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return notRegular(name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if torn, err := lacksNewline(f); err != nil {
		return errors.Join(err, f.Close())
	} else if torn {
		text = "\n" + text
	}
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// lacksNewline reports whether a line appended to f would be glued to the one
// before.
func lacksNewline(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}
