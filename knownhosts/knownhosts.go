// Package knownhosts decides whether a server's host key is the right one: by
// OpenSSH's known_hosts files, by fingerprints that the caller pins, by the DNS,
// and by the word of a person.
//
// [DB], [Pin] and [Callback] are host-key verifiers for the transport by their
// method VerifyHostKey. A [Policy] is a verifier that joins several of them with
// [Revocations] and [DNS], and accepts new hosts by itself or asks. A DB also
// says which algorithms to negotiate, so that the server shows a key on record.
// The package needs nothing of the other layers and serves any program with a
// host name and an ssh.PublicKey.
//
// The format is "SSH_KNOWN_HOSTS FILE FORMAT" in sshd(8), and decisions follow
// ssh(1): host name patterns, negation, hashed names, "[host]:port",
// @cert-authority and @revoked. The package departs from ssh(1) on purpose in
// these points:
//   - @revoked revokes a key for every host, as the manual says, and not only for the names on the line;
//   - a key recorded for the plain host name is no longer enough, certificate or not, once "[host]:port" has a key of its own;
//   - one trailing dot of a host name means nothing, and neither does a byte order mark;
//   - host certificates name at least one host, and may use a pattern, as with OpenSSH since 10.3;
//   - DSA keys and RSA certificates signed with SHA-1 are not understood;
//   - new keys are recorded after authentication, and a changed or revoked key is never accepted.
//
// A line that is not understood never makes anything trusted. Such a line is
// passed over, and [DB.Skipped] reports it.
package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// DB is the content of some known_hosts files. The zero DB knows no host and
// lives in memory only. A DB does not notice when others change its files: load
// them again. All methods may be called concurrently.
type DB struct {
	file    string       // where Add writes; empty for a DB in memory
	onDisk  bool         // the files are files of the machine
	skipped []*LineError // complete once the DB is built

	adding turn // of writers, so that no two of them record a key twice

	mu      sync.RWMutex             // guards the fields below; never held across I/O
	lines   []hostfile.Line          // plain and @cert-authority lines, in the order of the files
	revoked map[string]hostfile.Line // @revoked lines by wire form of the key
}

// Load reads known_hosts files in the format of OpenSSH. File names are taken
// literally: "~" is not expanded. [DB.Add] writes to the first file.
//
// A missing file counts as an empty file, and so does [os.DevNull]. Any other
// file that cannot be read to its end, that is no regular file (a directory, or a
// FIFO, which is never opened) or that is larger than 64 MiB is an error, because
// a revocation could go unseen.
func Load(files ...string) (*DB, error) {
	d := &DB{onDisk: true}
	if err := d.load(hostfile.System, files); err != nil {
		return nil, err
	}
	if len(files) > 0 && files[0] != os.DevNull {
		d.file = files[0]
	}
	return d, nil
}

// LoadFS is [Load] for files of fsys. Keys that are added later stay in memory.
func LoadFS(fsys fs.FS, files ...string) (*DB, error) {
	for _, name := range files {
		// Some file systems report an invalid name, "/etc/ssh/ssh_known_hosts"
		// for one, as a missing file.
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("knownhosts: %w", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid})
		}
	}
	d := new(DB)
	if err := d.load(fsys, files); err != nil {
		return nil, err
	}
	return d, nil
}

// Parse makes a DB of the content of a known_hosts file with a name. Parse keeps
// nothing of data, and keys that are added later stay in memory. There is no
// error to return: [DB.Skipped] tells which lines were not understood.
func Parse(name string, data []byte) *DB {
	var c hostfile.Content
	c.Parse(name, data)
	d := new(DB)
	d.fill(&c)
	return d
}

func (d *DB) load(fsys fs.FS, files []string) error {
	var c hostfile.Content
	for _, name := range files {
		if name == "" {
			return errors.New("knownhosts: name of a file is empty")
		}
		if name == os.DevNull {
			continue
		}
		if err := c.Read(fsys, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("knownhosts: %w", err)
		}
	}
	d.fill(&c)
	return nil
}

// fill takes the content of files into a DB that nobody else sees yet.
func (d *DB) fill(c *hostfile.Content) {
	for _, l := range c.Lines {
		d.insert(l)
	}
	for _, e := range c.Skipped {
		d.skipped = append(d.skipped, newLineError(e))
	}
}

// insert files a line. The caller holds mu, or is alone with the DB.
func (d *DB) insert(l hostfile.Line) {
	if l.Marker != hostfile.Revoked {
		d.lines = append(d.lines, l)
		return
	}
	if d.revoked == nil {
		d.revoked = make(map[string]hostfile.Line)
	}
	blob := string(l.Key.Marshal())
	if _, ok := d.revoked[blob]; !ok {
		l.Names = nil // the key is revoked for all hosts
		d.revoked[blob] = l
	}
}

// Skipped reports the lines that were not understood, in the order of the files:
// at most the first 1000 of them. Such a line trusts nothing and, even with the
// marker @revoked, revokes nothing.
func (d *DB) Skipped() []*LineError {
	return append([]*LineError(nil), d.skipped...)
}

// Line is a line of a known_hosts file that says something about a host.
type Line struct {
	File   string        // as the caller of [Load] named the file
	Number int           // counted from 1; 0 for a line that is in no file
	Marker string        // "", "@cert-authority" or "@revoked"
	Key    ssh.PublicKey // never a certificate

	removable bool // by ssh-keygen -R
}

// String returns the place of the line, and the type and SHA-256 fingerprint of
// its key.
func (l Line) String() string {
	return hostfile.OneLine(hostfile.Position(l.File, l.Number) + ": " + sshkey.Describe(l.Key))
}

// line returns the public form of a line.
func (d *DB) line(l hostfile.Line) Line {
	return Line{File: l.File, Number: l.Number, Marker: l.Marker, Key: l.Key, removable: d.onDisk && l.Removable()}
}
