package hostfile

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// Update brings the lines about a host into agreement with the keys that the host
// has announced.
type Update struct {
	File      string
	Name      string        // of the host, an [Address.Name]
	Address   string        // another name of the host, by its IP address; may be empty
	Key       ssh.PublicKey // known for the host
	Announced []ssh.PublicKey
	Hash      bool // true: new names are hashed even in a file without hashed names
}

// Plan is the list of changes to a file.
type Plan struct {
	Added, Removed []ssh.PublicKey

	drop             map[int]bool    // numbers of lines
	named, addressed map[string]bool // keys that have the name, or the address, in wire form
}

// Empty reports whether nothing changes.
func (p *Plan) Empty() bool { return len(p.Added) == 0 && len(p.Removed) == 0 }

// Plan compares the announced keys with the content of the file. The plan is
// empty if no line of the file has Key for the host: then another source has
// vouched for the host. An error means that a line stands against a change.
func (u *Update) Plan(content []byte) (*Plan, error) {
	p := &Plan{drop: map[int]bool{}, named: map[string]bool{}, addressed: map[string]bool{}}
	offered := make(map[string]bool)
	for _, k := range u.Announced {
		offered[string(k.Marshal())] = true
	}
	elsewhere := make(map[string]Line) // keys on lines about other hosts
	number := 0
	for text := range bytes.Lines(content) {
		number++
		l, ok := u.parse(text, number)
		if !ok {
			continue
		}
		blob := string(l.Key.Marshal())
		named, addressed := l.Names.Match(u.Name), u.Address != "" && l.Names.Match(u.Address)
		switch {
		case !named && !addressed:
			elsewhere[blob] = l
			continue
		case l.Marker != "" || l.Names.complex():
			return nil, fmt.Errorf("line %s:%d about the host has a marker, a pattern or many names", u.File, number)
		case u.Address != "" && named != addressed && l.Names.pair():
			return nil, fmt.Errorf("line %s:%d about the host has another name or address, too", u.File, number)
		}
		p.named[blob] = p.named[blob] || named
		p.addressed[blob] = p.addressed[blob] || addressed
		if !offered[blob] {
			p.drop[number] = true
			p.Removed = append(p.Removed, l.Key)
		}
	}
	if !p.named[string(u.Key.Marshal())] {
		return &Plan{}, nil
	}
	for _, k := range u.Announced {
		if blob := k.Marshal(); !p.named[string(blob)] && !p.addressed[string(blob)] {
			p.Added = append(p.Added, k)
		}
	}
	if p.Empty() {
		return p, nil
	}
	return p, u.consistent(p, elsewhere)
}

// consistent refuses a plan for one name of a host with several names, or of
// several hosts with one key: afterwards the names would disagree.
func (u *Update) consistent(p *Plan, elsewhere map[string]Line) error {
	for _, k := range slices.Concat(u.Announced, p.Removed) {
		if l, ok := elsewhere[string(k.Marshal())]; ok {
			return fmt.Errorf("line %s:%d has the key %s for another host", l.File, l.Number, sshkey.Describe(k))
		}
	}
	return nil
}

// parse reads a line. The names of a line that revokes matter here, too.
func (u *Update) parse(text []byte, number int) (Line, bool) {
	text = trimLine(text, number)
	if isBlank(text) {
		return Line{}, false
	}
	l, err := parseLine(string(text))
	l.File, l.Number = u.File, number
	return l, err == nil && l.Names != nil
}

// Apply returns the new content. The lines that stay are the same byte by byte.
func (u *Update) Apply(content []byte, p *Plan) []byte {
	var edited []byte
	number := 0
	for text := range bytes.Lines(content) {
		if number++; !p.drop[number] {
			edited = append(edited, text...)
		}
	}
	if !isWhole(edited) {
		edited = append(edited, '\n')
	}
	hash := u.Hash || hasHashes(content)
	for _, k := range u.Announced {
		blob := k.Marshal()
		var names []string
		if !p.named[string(blob)] {
			names = append(names, u.Name)
		}
		if u.Address != "" && !p.addressed[string(blob)] {
			names = append(names, u.Address)
		}
		if len(names) > 0 {
			edited = append(edited, newLines(names, k, hash)...)
		}
	}
	return edited
}
