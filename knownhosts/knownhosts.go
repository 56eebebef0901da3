// Package knownhosts decides whether a server's host key is the one it should
// be: from OpenSSH's known_hosts files, from fingerprints that the caller pins,
// from the DNS, and from what a person says.
//
// [DB], [Pin] and [Callback] have the method VerifyHostKey and so are host-key
// verifiers for the transport. A [Policy] is one that joins several of them with
// [Revocations] and [DNS], and accepts new hosts by itself or asks. A DB also says
// which algorithms to negotiate, so that the server shows a key on record. The
// package needs nothing of the other layers and serves any program that holds a
// host name and an ssh.PublicKey.
//
// The format is that of "SSH_KNOWN_HOSTS FILE FORMAT" in sshd(8), and decisions
// follow ssh(1): host name patterns, negation, hashed names, "[host]:port",
// @cert-authority and @revoked. On purpose it departs in these points:
//   - @revoked revokes a key for every host, as the manual has it, and not only for the names on its line;
//   - a key recorded for the plain host name is no longer enough, certificate or not, once "[host]:port" has its own;
//   - one trailing dot of a host name means nothing, and neither does a byte order mark;
//   - host certificates name at least one host, and may do so by a pattern, as with OpenSSH since 10.3;
//   - DSA keys and RSA certificates signed with SHA-1 are not understood;
//   - new keys are recorded after authentication, and a changed or revoked key is never accepted.
//
// A line that cannot be understood never makes anything trusted. It is passed
// over, and [DB.Skipped] reports it.
package knownhosts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

const (
	// maxFile bounds one file. A DB takes a small multiple of it in memory.
	maxFile = 64 << 20
	// maxLine bounds one line. Lists of thousands of names fit.
	maxLine = 1 << 20
	// maxSkipped bounds the reports kept about lines that were passed over.
	maxSkipped = 1000
)

// DB is the content of some known_hosts files. The zero DB knows no host and
// lives in memory only. A DB does not notice when others change its files; load
// it again for that. All methods may be called concurrently.
type DB struct {
	file    string       // where Add writes; empty for a DB in memory
	onDisk  bool         // the files are files of the machine
	skipped []*LineError // complete once the DB is built

	adding turn // of those who write, so that none can record a key twice

	mu      sync.RWMutex    // guards what follows; never held across I/O
	lines   []line          // plain and @cert-authority lines, in the order of the files
	revoked map[string]Line // @revoked lines by wire form of the key
}

// Load reads known_hosts files in the format of OpenSSH. Names are taken as
// they are: "~" is not expanded. The first file is the one that [DB.Add] writes
// to.
//
// A missing file counts as an empty one, and so does [os.DevNull]. Any other
// file that cannot be read to its end, that is no regular file (a directory, a
// FIFO, which is never opened) or that is larger than 64 MiB is an error,
// because without it a revocation might go unseen.
func Load(files ...string) (*DB, error) {
	d := &DB{onDisk: true}
	if err := d.load(systemFS{}, files); err != nil {
		return nil, err
	}
	if len(files) > 0 && files[0] != os.DevNull {
		d.file = files[0]
	}
	return d, nil
}

// LoadFS is [Load] for files of fsys. What is added later stays in memory.
func LoadFS(fsys fs.FS, files ...string) (*DB, error) {
	for _, name := range files {
		// Some file systems take such a name, "/etc/ssh/ssh_known_hosts" for
		// one, for that of a missing file.
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

// Parse makes a DB of the content of a known_hosts file. Errors call it name.
// It keeps nothing of data, and what is added later stays in memory. There is
// no error to return: [DB.Skipped] tells which lines were not understood.
func Parse(name string, data []byte) *DB {
	d := new(DB)
	d.parseAll(name, data)
	return d
}

func (d *DB) parseAll(name string, data []byte) {
	number := 0
	for text := range bytes.Lines(data) {
		number++
		d.parse(name, number, bytes.TrimSuffix(text, []byte("\n")))
	}
}

// Skipped reports the lines that were not understood, in the order of the
// files: at most the first 1000 of them. Such a line trusts nothing and, if it
// is an @revoked line, revokes nothing.
func (d *DB) Skipped() []*LineError {
	return append([]*LineError(nil), d.skipped...)
}

// systemFS is the file system of the machine, with its own syntax of names.
type systemFS struct{}

func (systemFS) Open(name string) (fs.File, error)     { return os.Open(name) }
func (systemFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (d *DB) load(fsys fs.FS, files []string) error {
	for _, name := range files {
		if name == "" {
			return errors.New("knownhosts: empty file name")
		}
		if name == os.DevNull {
			continue
		}
		if err := d.loadFile(fsys, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("knownhosts: %w", err)
		}
	}
	return nil
}

// loadFile looks before it opens, because opening a FIFO waits for a writer.
func (d *DB) loadFile(fsys fs.FS, name string) error {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return notRegular(name)
	}
	if info.Size() > maxFile {
		return tooLarge(name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.read(name, f)
}

func notRegular(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
}

func tooLarge(name string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
}

func (d *DB) read(name string, r io.Reader) error {
	limited := &io.LimitedReader{R: r, N: maxFile + 1}
	buffered := bufio.NewReaderSize(limited, 64<<10)
	var text []byte
	for number := 1; ; number++ {
		var err error
		text, err = readLine(buffered, text[:0])
		if err != nil && err != io.EOF {
			return err
		}
		if limited.N == 0 {
			return tooLarge(name) // grown since, or of a size unknown before
		}
		d.parse(name, number, bytes.TrimSuffix(text, []byte("\n")))
		if err == io.EOF {
			return nil
		}
	}
}

// readLine appends the next line to text. Of a line longer than maxLine it
// reads all, and returns just enough to be recognized as too long.
func readLine(r *bufio.Reader, text []byte) ([]byte, error) {
	for {
		chunk, err := r.ReadSlice('\n')
		if len(text) <= maxLine {
			text = append(text, chunk...)
		}
		if err != bufio.ErrBufferFull {
			return text, err
		}
	}
}

// parse takes one line, without its line feed, into a DB that nobody else sees yet.
func (d *DB) parse(name string, number int, text []byte) {
	if len(text) > maxLine {
		d.skip(&LineError{File: name, Number: number, Err: fmt.Errorf("longer than %d bytes", maxLine)})
		return
	}
	if text = trimLine(text, number); len(text) == 0 || text[0] == '#' {
		return
	}
	l, err := parseLine(string(text))
	if err != nil {
		e := &LineError{File: name, Number: number, Err: err}
		f, _ := splitLine(string(text))
		if hosts, err := parseHosts(f.hosts); err == nil {
			e.hosts = hosts
		}
		d.skip(e)
		return
	}
	l.File, l.Number = name, number
	l.removable = d.onDisk && l.Marker == "" && !isComplex(l.hosts)
	d.insert(l)
}

// trimLine takes off what is around the fields of a line.
func trimLine(text []byte, number int) []byte {
	if number == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff")) // the byte order mark of some Windows editors
	}
	return bytes.Trim(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), separators)
}

func (d *DB) skip(e *LineError) {
	if len(d.skipped) < maxSkipped {
		d.skipped = append(d.skipped, e)
	}
}

// insert files a line. The caller holds mu, or is alone with the DB.
func (d *DB) insert(l line) {
	if l.Marker != markerRevoked {
		d.lines = append(d.lines, l)
		return
	}
	if d.revoked == nil {
		d.revoked = make(map[string]Line)
	}
	blob := string(l.Key.Marshal())
	if _, ok := d.revoked[blob]; !ok {
		d.revoked[blob] = l.Line
	}
}
