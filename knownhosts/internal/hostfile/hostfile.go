// Package hostfile reads and edits the files of package knownhosts: known_hosts
// files, as sshd(8) describes them under "SSH_KNOWN_HOSTS FILE FORMAT", and
// revocation lists, as OpenSSH PROTOCOL.krl and ssh-keygen(1) describe them.
//
// The package knows lines, names, hashes, locks and serial numbers. Package
// knownhosts decides what a line is worth for a key, and asks people. Hence
// errors have no prefix here: knownhosts, whose errors they become, adds its own.
//
// A line that is not understood is reported and otherwise left alone. An edit
// leaves all other lines as they are, byte by byte.
package hostfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"
)

const (
	// maxFile bounds one file.
	maxFile = 64 << 20
	// maxLine bounds one line. Lists of thousands of names fit.
	maxLine = 1 << 20
	// maxSkipped bounds the reports about lines that were passed over.
	maxSkipped = 1000
)

// Line is a line of a known_hosts file.
type Line struct {
	File   string // as the caller named the file
	Number int    // counted from 1
	Marker string // "", [Authority] or [Revoked]
	Key    ssh.PublicKey
	Names  Names // nil for a line with the marker Revoked whose names are malformed
}

// Removable reports whether ssh-keygen -R would remove the line for one of its
// names.
func (l *Line) Removable() bool { return l.Marker == "" && !l.Names.complex() }

// LineError is a line that was passed over.
type LineError struct {
	File   string
	Number int
	Err    error
	Names  Names // nil if the names were not understood either
}

// Error returns the place of the line and the reason.
func (e *LineError) Error() string { return Position(e.File, e.Number) + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Content is the content of some known_hosts files, in the order of the files.
// The zero Content is empty.
type Content struct {
	Lines   []Line       // all lines that were understood
	Skipped []*LineError // the first 1000 lines that were not
}

// System is the file system of the machine, with its own syntax of names.
var System fs.FS = systemFS{}

type systemFS struct{}

func (systemFS) Open(name string) (fs.File, error)     { return os.Open(name) }
func (systemFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Read adds the lines of a file. The file must be a regular one, and no larger
// than 64 MiB. Read looks before opening, because the opening of a FIFO waits for
// a writer.
func (c *Content) Read(fsys fs.FS, name string) error {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	if err := checkFile(name, info); err != nil {
		return err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.readAll(name, f)
}

// ReadFile returns the content of a file of the machine, under the conditions of
// [Content.Read].
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := checkFile(name, info); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// checkFile refuses a file that must not be opened, or does not fit.
func checkFile(name string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	case info.Size() > maxFile:
		return tooLarge(name)
	}
	return nil
}

func tooLarge(name string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
}

// readAll reads line by line, so that a file of 64 MiB never stands in memory as
// a whole.
func (c *Content) readAll(name string, r io.Reader) error {
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
			return tooLarge(name) // the file has grown since, or had no size
		}
		c.add(name, number, bytes.TrimSuffix(text, []byte("\n")))
		if err == io.EOF {
			return nil
		}
	}
}

// readLine appends the next line to text. A line longer than maxLine is read to
// its end, and cut to a length that is still too long.
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

// Parse adds the lines of data, under the name of a file. Parse keeps no part of
// data.
func (c *Content) Parse(name string, data []byte) {
	number := 0
	for text := range bytes.Lines(data) {
		number++
		c.add(name, number, bytes.TrimSuffix(text, []byte("\n")))
	}
}

// add takes one line without its line feed.
func (c *Content) add(file string, number int, text []byte) {
	if len(text) > maxLine {
		c.skip(&LineError{File: file, Number: number, Err: fmt.Errorf("longer than %d bytes", maxLine)})
		return
	}
	text = trimLine(text, number)
	if isBlank(text) {
		return
	}
	l, err := parseLine(string(text))
	if err != nil {
		e := &LineError{File: file, Number: number, Err: err}
		f, _ := splitLine(string(text))
		if names, err := parseNames(f.names); err == nil {
			e.Names = names
		}
		c.skip(e)
		return
	}
	l.File, l.Number = file, number
	c.Lines = append(c.Lines, l)
}

// skip reports a line. Reports beyond the bound are dropped, as a file may have
// millions of bad lines.
func (c *Content) skip(e *LineError) {
	if len(c.Skipped) < maxSkipped {
		c.Skipped = append(c.Skipped, e)
	}
}
