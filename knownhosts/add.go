package knownhosts

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// Add records key for addr, "host:port" as for [DB.VerifyHostKey], in memory
// and at the end of the file that was named first to [Load]. The caller has
// made sure that the key is right; a key that differs from those on record is
// recorded beside them. Of a certificate the plain key is recorded. A key that
// is on record for addr already is not recorded again, and a revoked one is
// refused with a [*KeyError]. The name is hashed if the file has hashed ones.
//
// A missing file is created with mode 0600, and its directories with 0700; one
// that exists keeps its mode and owner, and a symbolic link stays one. On Unix
// the file is locked meanwhile, and what other processes have written since it
// was loaded counts: many of them may learn hosts into one file, and none writes
// a key that another one has written. A lock is waited for as long as others use
// it to write, and otherwise for 10 seconds. When writing fails nothing is
// recorded in memory either, and what has reached the file is taken back.
func (d *DB) Add(addr string, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("knownhosts: no host key to add")
	}
	t, err := parseTarget(addr)
	if err != nil {
		return err
	}
	_, err = d.record(context.Background(), &entry{key: plainKey(key), names: []string{t.name}, beside: true})
	var refusal *KeyError
	if errors.As(err, &refusal) {
		refusal.Addr, refusal.Key = addr, key
	}
	return err
}

// entry is a key that is to be recorded.
type entry struct {
	key    ssh.PublicKey // plain
	names  []string
	hash   bool // the names, even if the file has none that is
	beside bool // other keys for the names are no hindrance
}

// record writes an entry for those names that do not have the key yet, and
// returns them.
func (d *DB) record(ctx context.Context, e *entry) (recorded []string, err error) {
	for _, name := range e.names {
		if !recordable(name) {
			return nil, fmt.Errorf("knownhosts: host name %s cannot be written to known_hosts", quote(name))
		}
	}
	if !supported(e.key.Type()) {
		return nil, fmt.Errorf("knownhosts: key type %s cannot be written to known_hosts", quote(e.key.Type()))
	}
	if err := d.adding.take(ctx); err != nil {
		return nil, fmt.Errorf("knownhosts: waiting for others that record keys: %w", err)
	}
	defer d.adding.release()
	if refusal := d.revocation(e.key); refusal != nil {
		return nil, refusal
	}
	e.names = d.without(e)
	if len(e.names) == 0 {
		return nil, nil
	}
	var lines []line
	if d.file == "" {
		for _, name := range e.names {
			lines = append(lines, line{Line: Line{Key: e.key}, hosts: patternList(name)})
		}
	} else {
		err = editFile(ctx, d.file, func(content []byte) ([]byte, error) {
			content, lines, err = e.appendTo(content, d.file)
			return content, err
		})
		if refusal := (*KeyError)(nil); errors.As(err, &refusal) {
			return nil, refusal
		}
		if err != nil {
			return nil, fmt.Errorf("knownhosts: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range lines {
		d.insert(l)
	}
	return e.names, nil
}

// without returns the names for which the DB does not know the key yet.
func (d *DB) without(e *entry) []string {
	var names []string
	for _, name := range e.names {
		if index(d.find(target{host: name, name: name}).plain, e.key) < 0 {
			names = append(names, name)
		}
	}
	return names
}

// appendTo adds an entry to the content of a file, unless others have done so
// since it was loaded. They may also have recorded another key. The lines that
// it returns are for the memory.
func (e *entry) appendTo(content []byte, file string) ([]byte, []line, error) {
	var (
		missing []string
		lines   []line
	)
	if l, ok := revoking(content, file, e.key); ok {
		return nil, nil, &KeyError{Name: e.names[0], Kind: Revoked, Known: []Line{l}}
	}
	hash := e.hash || hasHashes(content)
	next := 1 + bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		next++
	}
	for _, name := range e.names {
		l := line{Line: Line{File: file, Number: next, Key: e.key, removable: true}, hosts: patternList(name)}
		onRecord := matching(content, file, name)
		if i := index(onRecord, e.key); i >= 0 {
			l.Line = onRecord[i]
			lines = append(lines, l)
			continue
		}
		if len(onRecord) > 0 && !e.beside {
			return nil, nil, &KeyError{Name: name, Kind: Changed, Known: onRecord}
		}
		missing, lines = append(missing, name), append(lines, l)
		if hash {
			next++
		}
	}
	if len(missing) == 0 {
		return content, lines, nil
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n') // the last line would be glued to ours
	}
	return append(content, newLines(missing, e.key, hash)...), lines, nil
}

func hasHashes(content []byte) bool {
	return bytes.HasPrefix(content, []byte(hashMagic)) || bytes.Contains(content, []byte("\n"+hashMagic))
}

// newLines is one line with all names, or, where names are hashed, one for each.
func newLines(names []string, key ssh.PublicKey, hash bool) string {
	text := " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()) + "\n"
	if !hash {
		return strings.Join(names, ",") + text
	}
	var b strings.Builder
	for _, name := range names {
		field, _ := hashName(name)
		b.WriteString(field + text)
	}
	return b.String()
}

// matching returns the plain lines about a name. It decodes the keys of no
// others, so that large files are no trouble.
func matching(content []byte, file, name string) []Line {
	var found []Line
	number := 0
	for text := range bytes.Lines(content) {
		number++
		f, err := splitLine(string(trimLine(text, number)))
		if err != nil || f.marker != "" || f.hosts[0] == '#' {
			continue
		}
		if hosts, err := parseHosts(f.hosts); err != nil || !hosts.match(name) {
			continue
		}
		if l, err := parseLine(string(trimLine(text, number))); err == nil {
			l.File, l.Number, l.removable = file, number, !isComplex(l.hosts)
			found = append(found, l.Line)
		}
	}
	return found
}

// revoking returns the line that revokes a key.
func revoking(content []byte, file string, key ssh.PublicKey) (Line, bool) {
	number := 0
	for text := range bytes.Lines(content) {
		number++
		if !bytes.Contains(text, []byte(markerRevoked)) {
			continue
		}
		l, err := parseLine(string(trimLine(text, number)))
		if err == nil && l.Marker == markerRevoked && index([]Line{l.Line}, key) == 0 {
			l.File, l.Number = file, number
			return l.Line, true
		}
	}
	return Line{}, false
}

// recordable reports whether a line that begins with a name means just that
// name: no marker, list, pattern or hash, and no second line. The name may be
// "[host]:port".
func recordable(name string) bool {
	if host, port, ok := strings.Cut(strings.TrimPrefix(name, "["), "]:"); ok && name[0] == '[' {
		name = host + port
	}
	return name != "" && len(name) <= maxPattern-4 && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune(" @?*#[]|'\"\\!,", r)
	})
}
