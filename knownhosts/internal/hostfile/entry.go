package hostfile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// Entry is a key to be recorded.
type Entry struct {
	Key    ssh.PublicKey // plain
	Names  []string
	Hash   bool // the names are hashed even in a file without hashed names
	Beside bool // other keys for the names are no conflict
}

// ConflictError is the refusal to record a key.
type ConflictError struct {
	Name    string // one of the entry's
	Revoked bool   // Lines revoke the key; otherwise Lines have other keys for Name
	Lines   []Line
}

// Error is for callers that do not look at the lines.
func (e *ConflictError) Error() string {
	if e.Revoked {
		return "key is revoked by " + Position(e.Lines[0].File, e.Lines[0].Number)
	}
	return fmt.Sprintf("another key is on record for %s at %s", Quote(e.Name), Position(e.Lines[0].File, e.Lines[0].Number))
}

// Check returns an error if a line for the entry would read back as something
// else.
func (e *Entry) Check() error {
	for _, name := range e.Names {
		if !Recordable(name) {
			return fmt.Errorf("host name %s cannot be written to known_hosts", Quote(name))
		}
	}
	if _, ok := sshkey.HostType(e.Key.Type()); !ok {
		return fmt.Errorf("key type %s cannot be written to known_hosts", Quote(e.Key.Type()))
	}
	return nil
}

// Lines returns the lines of an entry that is in no file.
func (e *Entry) Lines() []Line {
	lines := make([]Line, len(e.Names))
	for i, name := range e.Names {
		lines[i] = Line{Key: e.Key, Names: patternList(name)}
	}
	return lines
}

// Append adds the entry to the content of a file, for those names that the file
// does not have with the key. The content may be newer than a DB's memory: lines
// are all lines with the key for the names, whoever wrote them. An error is a
// [*ConflictError].
func (e *Entry) Append(content []byte, file string) (edited []byte, lines []Line, err error) {
	if l, ok := revoking(content, file, e.Key); ok {
		return nil, nil, &ConflictError{Name: e.Names[0], Revoked: true, Lines: []Line{l}}
	}
	var missing []string
	hash := e.Hash || hasHashes(content)
	next := 1 + bytes.Count(content, []byte("\n"))
	if !isWhole(content) {
		next++
	}
	for _, name := range e.Names {
		onRecord := matching(content, file, name)
		if i := index(onRecord, e.Key); i >= 0 {
			lines = append(lines, Line{File: file, Number: onRecord[i].Number, Key: e.Key, Names: patternList(name)})
			continue
		}
		if len(onRecord) > 0 && !e.Beside {
			return nil, nil, &ConflictError{Name: name, Lines: onRecord}
		}
		missing = append(missing, name)
		lines = append(lines, Line{File: file, Number: next, Key: e.Key, Names: patternList(name)})
		if hash {
			next++
		}
	}
	if len(missing) == 0 {
		return content, lines, nil
	}
	if !isWhole(content) {
		content = append(content, '\n') // or the last line would be glued to ours
	}
	return append(content, newLines(missing, e.Key, hash)...), lines, nil
}

// isWhole reports whether another line can follow.
func isWhole(content []byte) bool { return len(content) == 0 || content[len(content)-1] == '\n' }

// hasHashes reports whether a line begins with a hashed name. The user of such
// a file wants no names to be read from the file.
func hasHashes(content []byte) bool {
	return bytes.HasPrefix(content, []byte(hashMagic)) || bytes.Contains(content, []byte("\n"+hashMagic))
}

// newLines returns one line with all names or, where names are hashed, a line for
// each name.
func newLines(names []string, key ssh.PublicKey, hash bool) string {
	text := " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()) + "\n"
	if !hash {
		return strings.Join(names, ",") + text
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(hashName(name) + text)
	}
	return b.String()
}

// matching returns the plain lines about a name. Keys on other lines are not
// decoded, because files may be large.
func matching(content []byte, file, name string) []Line {
	var found []Line
	number := 0
	for text := range bytes.Lines(content) {
		number++
		text = trimLine(text, number)
		if isBlank(text) {
			continue
		}
		f, err := splitLine(string(text))
		if err != nil || f.marker != "" {
			continue
		}
		if names, err := parseNames(f.names); err != nil || !names.Match(name) {
			continue
		}
		if l, err := parseLine(string(text)); err == nil {
			l.File, l.Number = file, number
			found = append(found, l)
		}
	}
	return found
}

// revoking returns the line that revokes a key.
func revoking(content []byte, file string, key ssh.PublicKey) (Line, bool) {
	number := 0
	for text := range bytes.Lines(content) {
		number++
		if !bytes.Contains(text, []byte(Revoked)) {
			continue
		}
		l, err := parseLine(string(trimLine(text, number)))
		if err == nil && l.Marker == Revoked && sshkey.Equal(l.Key, key) {
			l.File, l.Number = file, number
			return l, true
		}
	}
	return Line{}, false
}
